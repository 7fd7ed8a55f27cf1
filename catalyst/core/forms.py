"""Forms of the core pages: sign in, API keys."""

from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm

from catalyst.core.models import ApiKey


class LoginForm(AuthenticationForm):
    """Name and password."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""


class ApiKeyForm(forms.Form):
    """A new API key: what it is for and what it may do."""

    name = forms.CharField(max_length=100, help_text="Where it will be used, for example support agent, production.")
    scopes = forms.MultipleChoiceField(
        choices=ApiKey.Scope,
        initial=[ApiKey.Scope.INGEST],
        widget=forms.CheckboxSelectMultiple,
        label="It may",
        error_messages={"required": "Choose at least one: a key without a scope can do nothing."},
    )
