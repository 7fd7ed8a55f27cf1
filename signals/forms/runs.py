"""Form of manual runs."""

from datetime import datetime, timedelta
from typing import Any, override

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone

from catalyst import timerange
from signals.forms.signal import NO_RATE

TIME_ERRORS = dict.fromkeys(("required", "invalid"), "Enter a date and time")


class TimeWidget(forms.DateTimeInput):
    input_type = "datetime-local"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%dT%H:%M")


class RunForm(forms.Form):
    """The window (UTC) and sample rate of a manual run."""

    start = forms.DateTimeField(label="From (UTC)", widget=TimeWidget, error_messages=TIME_ERRORS)
    end = forms.DateTimeField(label="To (UTC)", widget=TimeWidget, error_messages=TIME_ERRORS)
    sample_rate = forms.IntegerField(
        label="Sample rate (%)",
        min_value=0,
        max_value=100,
        widget=forms.TextInput({"class": "short", "inputmode": "numeric"}),
        error_messages=dict.fromkeys(("required", "invalid", "min_value", "max_value"), NO_RATE),
    )

    @override
    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or self.cleaned_data
        start, end = cleaned.get("start"), cleaned.get("end")
        if start and end and start >= end:
            self.add_error("end", "From must be before To")
        elif start and start >= timezone.now():
            self.add_error("start", "From must be in the past")
        return cleaned

    @staticmethod
    def recent(now: datetime) -> dict[str, Any]:
        end = timerange.ceil(now, timerange.MINUTE)
        return {"start": end - timedelta(days=7), "end": end, "sample_rate": 100}

    def report(self, error: ValidationError) -> None:
        self.add_error(None, error)
