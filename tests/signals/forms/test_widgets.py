"""Inputs of the signal editor."""

import pytest
from django import forms
from django.http import QueryDict

from signals.forms.widgets import ChoiceInput, LabelsWidget, RateWidget
from tests.page import Page


class SampleForm(forms.Form):
    scope = forms.ChoiceField(
        choices=[("span", "Span"), ("trace", "Trace")],
        widget=ChoiceInput({"aria-label": "Scope"}, help_texts={"span": "One <each>."}),
    )
    labels = forms.Field(widget=LabelsWidget, required=False)
    sample_rate = forms.IntegerField(widget=RateWidget, min_value=0, max_value=100)


def drawn(form: forms.Form) -> Page:
    return Page(f"<form>{''.join(str(field) for field in form)}</form>")


def test_choices_are_a_named_group() -> None:
    page = drawn(SampleForm(initial={"scope": "trace"}))
    group = page.region("Scope")
    assert group.attribute("role") == "radiogroup"
    assert [choice.attribute("value") for choice in group.all(".//input[@type='radio']")] == ["span", "trace"]
    assert page.forms[0].fields["scope"] == ["trace"]
    assert not group.all(".//input[@aria-label or @required]")
    (help_text,) = page.all(".//*[contains(@class, 'when-span')]")
    assert help_text.text == "One <each>."


@pytest.mark.parametrize(
    ("query", "rate", "shown"),
    [
        ("sample_rate=25&sample_rate_other=7", 25, ["25", "25"]),
        ("sample_rate=other&sample_rate_other=7", 7, ["other", "7"]),
        ("sample_rate=other&sample_rate_other=25", 25, ["25", "25"]),
        ("sample_rate=other&sample_rate_other=300", None, ["other", "300"]),
        ("sample_rate=other&sample_rate_other=%00", None, ["other", "\N{REPLACEMENT CHARACTER}"]),
        (f"sample_rate=other&sample_rate_other={'9' * 5000}", None, ["other", "9" * 5000]),
        ("sample_rate=other", None, ["other"]),
        ("", None, ["other"]),
    ],
)
def test_a_rate_is_a_usual_one_or_another_number(query: str, rate: int | None, shown: list[str]) -> None:
    form = SampleForm(QueryDict(f"scope=span&{query}"))
    assert form.is_valid() == (rate is not None)
    assert form.cleaned_data.get("sample_rate") == rate
    fields = drawn(form).forms[0].fields
    assert [value for name in ("sample_rate", "sample_rate_other") for value in fields.get(name, []) if value] == shown


def test_labels_are_rows_with_their_sentiments() -> None:
    page = drawn(
        SampleForm(QueryDict('label-0="><b>&sentiment-0=neutral&label-9=bad&sentiment-9=late&label-10=eleventh'))
    )
    fields = page.forms[0].fields
    assert [fields[f"label-{row}"] for row in range(10)] == [['"><b>'], *([[""]] * 8), ["bad"]]
    assert fields["label-10"] == ["eleventh"], "shown, so that the form can refuse it"
    assert page.choice("Sentiment of label 1").chosen == ["neutral"]
    assert page.choice("Sentiment of label 10").chosen == []


def test_sentiments_are_neutral_by_default() -> None:
    page = drawn(SampleForm())
    chosen = [page.choice(f"Sentiment of label {number}").chosen for number in range(1, 11)]
    assert chosen == [["neutral"]] * 10
