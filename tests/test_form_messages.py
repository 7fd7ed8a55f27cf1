"""Errors of forms, in our words."""

from django import forms

from catalyst.core.forms import ProfileForm


class Everything(forms.Form):
    name = forms.CharField(max_length=3)
    count = forms.IntegerField(min_value=1, max_value=9)
    choice = forms.ChoiceField(choices=[("a", "A")])


def test_forms_say_what_to_enter() -> None:
    assert Everything({}).errors["name"] == ["Enter a value"]
    form = Everything({"name": "long", "count": "0", "choice": "b"})
    assert form.errors == {
        "name": ["Use at most 3 characters. This has 4."],
        "count": ["Enter 1 or more"],
        "choice": ["Choose one of the options"],
    }
    assert Everything({"count": "x"}).errors["count"] == ["Enter a whole number"]
    assert Everything({"count": "10"}).errors["count"] == ["Enter 9 or less"]


def test_forms_of_models_say_the_same() -> None:
    errors = ProfileForm({"first_name": "x" * 151, "email": "ada"}).errors
    assert errors["first_name"] == ["Use at most 150 characters. This has 151."]
    assert errors["email"] == ["Enter an email address, such as ada@example.com"]
