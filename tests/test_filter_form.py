"""Forms bound to a query string."""

import pytest
from django import forms
from django.http import QueryDict

from catalyst.filter_form import FilterForm, NumberField, TextField
from tests.page import Page


class SampleForm(FilterForm):
    name = TextField(max_length=10)
    size = forms.ChoiceField(choices=[("", "Any size"), ("s", "Small"), ("l", "Large")])
    agent = NumberField(widget=forms.Select)


def of(query: str) -> SampleForm:
    return SampleForm(QueryDict(query))


def test_it_reads_what_the_query_has() -> None:
    form = of("name=+lamp+&size=l&agent=0&other=x")
    assert form.valid_values == {"name": "lamp", "size": "l", "agent": 0}
    assert not form.errors
    assert of("name=&size=").valid_values == {}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (f"name={'n' * 11}", "name"),
        ("size=xl", "size"),
        ("size=%00", "size"),
        ("agent=-1", "agent"),
        ("agent=%C2%B2", "agent"),
        ("agent=1%00", "agent"),
        (f"agent={'9' * 19}", "agent"),
        (f"agent={'9' * 5000}", "agent"),
    ],
)
def test_an_invalid_value_filters_nothing_and_has_an_error(query: str, field: str) -> None:
    valid = {"name": "lamp", "size": "s", "agent": "7"}
    others = "&".join(f"{name}={value}" for name, value in valid.items() if name != field)
    form = of(f"{query}&{others}")
    assert set(form.errors) == {field}
    assert form.valid_values.keys() == valid.keys() - {field}


def test_its_inputs_are_named_by_labels_and_show_the_query() -> None:
    form = of("size=l&agent=7&name=%3Cb%3E%22")
    form.set_choices("agent", [("", "Any agent"), (7, "support-bot"), (8, "other-bot")])
    page = Page(str(form["name"]) + str(form["size"]) + str(form["agent"]))
    assert page.choice("Size").chosen == ["Large"]
    assert page.choice("Agent").chosen == ["support-bot"]
    (name,) = page.all(".//input[@aria-label='Name']")
    assert name.attribute("value") == '<b>"'
    assert not page.all(".//*[@id or @required]")


def test_a_text_has_no_null_characters() -> None:
    form = of(f"name=%00{'n' * 10}%00")
    assert form.valid_values == {"name": "n" * 10}
    assert "\0" not in str(form["name"])


@pytest.mark.parametrize("query", ["", "agent=", "agent=x"])
def test_a_number_shows_its_initial_value_without_a_valid_one(query: str) -> None:
    form = of(query)
    form.initial = {"agent": 8}
    form.set_choices("agent", [(7, "support-bot"), (8, "other-bot")])
    assert Page(str(form["agent"])).choice("Agent").chosen == ["other-bot"]
