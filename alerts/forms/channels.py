"""The form of a channel, made from the fields of its kind."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict

from alerts import channel_settings
from alerts.channel_settings import Given
from alerts.channels import webhook
from alerts.channels.kind import Field, Kind
from alerts.models import Channel
from alerts.models.channel import MAX_NAME_CHARACTERS
from catalyst.core.encrypted_fields import Secret, SecretField
from catalyst.form_messages import show_errors

STORED = "Stored. Leave empty to keep it."
_QUIET = {"spellcheck": "false", "autocomplete": "off"}


class ChannelForm(forms.Form):
    """`channel`: the one to edit. Stored secrets are never part of the page."""

    name = forms.CharField(
        max_length=MAX_NAME_CHARACTERS,
        widget=forms.TextInput({"autocomplete": "off"}),
        help_text="Alerts show this name.",
    )

    def __init__(self, data: QueryDict | None = None, *, kind: Kind, channel: Channel | None = None) -> None:
        self.kind = kind
        self.stored = channel_settings.stored_secrets(channel) if channel else {}
        name = channel.name if channel else kind.name.partition(",")[0]
        super().__init__(data, initial={"name": name}, label_suffix="")
        stored = channel.settings if channel else {}
        for field in kind.fields:
            if field.is_secret:
                self._add_secret(field)
            else:
                self.fields[field.name] = _setting(field, stored.get(field.name, field.default))
        self.fields["judge_outages"] = forms.BooleanField(
            label="Also tell it when a judge does not answer",
            required=False,
            initial=bool(channel and channel.judge_outages),
            help_text="After ten minutes, and when it answers again. For models that active signals use.",
        )
        if kind.key == webhook.Webhook.key and not channel:
            secret = self.fields["signing_secret"]
            secret.help_text = f"{secret.help_text} Here is a new one: {webhook.new_secret()}"

    def _add_secret(self, field: Field) -> None:
        is_stored = field.name in self.stored
        self.fields[field.name] = _secret(field, is_stored)
        if is_stored and not field.is_required:
            label = f"Delete the stored {field.label.lower()}"
            self.fields[f"clear_{field.name}"] = forms.BooleanField(label=label, required=False)

    @property
    def given(self) -> Given:
        cleaned = self.cleaned_data
        settings = {name: cleaned[name] for name in self.kind.setting_names}
        secrets = {name: str(cleaned[name]) for name in self.kind.secret_names if _is_entered(cleaned[name])}
        secrets |= {name: "" for name in self.kind.secret_names if cleaned.get(f"clear_{name}")}
        return Given(cleaned["name"], settings, secrets, cleaned["judge_outages"])

    def report(self, error: ValidationError) -> None:
        """Show errors of `channel_settings` beside their fields."""
        show_errors(self, error, {})

    def merged(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """What was typed so far, and of secrets what is stored and would go to the same place."""
        given = self.given
        settings = {field.name: field.default for field in self.kind.fields if not field.is_secret}
        settings |= {name: value for name, value in (given.settings or {}).items() if value}
        return settings, dict(given.secrets or {})


def _setting(field: Field, value: str) -> forms.CharField:
    widget = forms.Textarea({"rows": 4, **_QUIET}) if field.is_long else forms.TextInput(_QUIET)
    return forms.CharField(
        label=field.label,
        required=False,
        initial=value,
        max_length=field.max_characters,
        help_text=field.help,
        widget=widget,
    )


def _secret(field: Field, is_stored: bool) -> forms.Field:
    about: dict[str, Any] = {"label": field.label, "required": False, "help_text": field.help}
    about["max_length"] = field.max_characters
    if field.is_long:
        attributes = {"rows": 3, **_QUIET} | ({"placeholder": STORED} if is_stored else {})
        return forms.CharField(widget=forms.Textarea(attributes), **about)
    # Only says that there is one.
    return SecretField(initial=Secret("stored", "") if is_stored else "", **about)


def _is_entered(value: object) -> bool:
    return bool(value) and not isinstance(value, Secret)
