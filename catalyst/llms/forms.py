"""The form of a model connection."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict

from catalyst.core.encrypted_fields import Secret, SecretField
from catalyst.form_messages import show_errors
from catalyst.llms import connections
from catalyst.llms.connections import Secrets, Settings
from catalyst.llms.models import ModelConnection
from catalyst.llms.presets import PRESETS

MAX_TEXT_CHARACTERS = 20_000
# The form field that shows errors of a field with another name.
FIELD_OF = {"preset": "base_url"}


class ConnectionForm(forms.Form):
    """`connection`: the one to edit. Stored secrets are never part of the page."""

    preset = forms.ChoiceField(
        choices=[(key, preset.name) for key, preset in PRESETS.items()], widget=forms.HiddenInput, required=False
    )
    name = forms.CharField(
        max_length=connections.MAX_NAME_CHARACTERS,
        widget=forms.TextInput({"autocomplete": "off"}),
        help_text="Signals show this name.",
    )
    base_url = forms.CharField(
        label="Base URL",
        max_length=connections.MAX_URL_CHARACTERS,
        widget=forms.TextInput({"inputmode": "url", "spellcheck": "false", "autocomplete": "off"}),
        help_text="Without /chat/completions.",
    )
    key = SecretField(label="API key", required=False, max_length=connections.MAX_KEY_CHARACTERS)
    default_model = forms.CharField(
        max_length=connections.MAX_MODEL_CHARACTERS,
        widget=forms.TextInput({"spellcheck": "false", "autocomplete": "off"}),
        help_text="As the provider spells it.",
    )
    allowed_models = forms.CharField(
        label="Further models",
        required=False,
        max_length=MAX_TEXT_CHARACTERS,
        widget=forms.Textarea({"rows": 3, "spellcheck": "false"}),
        help_text="That signals may choose, one a line.",
    )
    prices = forms.CharField(
        required=False,
        max_length=MAX_TEXT_CHARACTERS,
        widget=forms.Textarea({"rows": 2, "spellcheck": "false"}),
        help_text="Where the public list has none, or another one: a model, then US dollars per million tokens for "
        "input and output, such as my-model 0.15 0.60. One model a line.",
    )
    headers = forms.CharField(
        required=False,
        max_length=MAX_TEXT_CHARACTERS,
        widget=forms.Textarea({"rows": 2, "spellcheck": "false", "autocomplete": "off"}),
        help_text="Sent with each call and stored encrypted, one a line, as Name: value.",
    )
    clear_headers = forms.BooleanField(label="Delete the stored headers", required=False)
    concurrency = forms.IntegerField(
        label="Calls at once",
        min_value=1,
        max_value=connections.MAX_CONCURRENCY,
        initial=connections.DEFAULT_CONCURRENCY,
        help_text="Of each worker.",
    )
    requests_per_minute = forms.IntegerField(
        min_value=1,
        max_value=connections.MAX_REQUESTS_PER_MINUTE,
        required=False,
        help_text="Of all workers together. Empty: no limit.",
    )

    def __init__(
        self, data: QueryDict | None = None, *, preset: str = "", connection: ModelConnection | None = None
    ) -> None:
        initial = _initial_of(connection) if connection else _initial_for(preset)
        super().__init__(data, initial=initial, label_suffix="")
        if connection and connection.headers:
            self.fields["headers"].widget.attrs["placeholder"] = "Stored. Leave empty to keep them."
        else:
            del self.fields["clear_headers"]

    @property
    def settings(self) -> Settings:
        """Raises ValidationError."""
        cleaned = self.cleaned_data
        return Settings(
            name=cleaned["name"],
            base_url=cleaned["base_url"],
            default_model=cleaned["default_model"],
            preset=cleaned["preset"] or "other",
            allowed_models=cleaned["allowed_models"].splitlines(),
            prices=_prices(cleaned["prices"]),
            concurrency=cleaned["concurrency"],
            requests_per_minute=cleaned["requests_per_minute"],
        )

    @property
    def secrets(self) -> Secrets:
        """Raises ValidationError."""
        cleaned = self.cleaned_data
        key = None if isinstance(cleaned["key"], Secret) else cleaned["key"] or None
        if cleaned.get("clear_headers"):
            return Secrets(key, {})
        return Secrets(key, _headers(cleaned["headers"]) or None)

    def report(self, error: ValidationError) -> None:
        """Show errors of `connections` beside their fields."""
        show_errors(self, error, FIELD_OF)

    @property
    def has_errors_below(self) -> bool:
        """True if the folded part of the form has errors."""
        return bool(self.errors.keys() - {"name", "base_url", "key", "default_model"})


def _initial_for(key: str) -> dict[str, Any]:
    key = key if key in PRESETS else "other"
    preset = PRESETS[key]
    name = preset.name if key != "other" else ""
    return {"preset": key, "name": name, "base_url": preset.base_url, "default_model": preset.model}


def _initial_of(connection: ModelConnection) -> dict[str, Any]:
    names = ("preset", "name", "base_url", "key", "default_model", "concurrency", "requests_per_minute")
    others = [model for model in connection.allowed_models if model != connection.default_model]
    prices = [f"{model} {' '.join(price)}" for model, price in connection.prices.items()]
    texts = {"allowed_models": "\n".join(others), "prices": "\n".join(prices)}
    return {name: getattr(connection, name) for name in names} | texts


def _prices(text: str) -> dict[str, list[str]]:
    prices = {}
    for line in filter(str.strip, text.splitlines()):
        model, *amounts = line.rsplit(maxsplit=2)
        if len(amounts) != 2:
            raise ValidationError({"prices": "Write a line as: model, input and output, such as my-model 0.15 0.60."})
        prices[model] = amounts
    return prices


def _headers(text: str) -> Mapping[str, str]:
    headers = {}
    for line in filter(str.strip, text.splitlines()):
        name, colon, value = line.partition(":")
        if not colon:
            raise ValidationError({"headers": "Write a line as Name: value."})
        headers[name] = value
    return headers
