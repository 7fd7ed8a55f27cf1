"""Form of manual runs."""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from catalyst import timerange
from signals.forms.signal import NO_RATE


class TimeWidget(forms.DateTimeInput):
    input_type = "datetime-local"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%dT%H:%M")


class RunForm(forms.Form):
    """The window (UTC) and sample rate of a manual run."""

    start = forms.DateTimeField(label="From (UTC)", widget=TimeWidget)
    end = forms.DateTimeField(label="To (UTC)", widget=TimeWidget)
    sample_rate = forms.IntegerField(
        label="Percent of the targets",
        min_value=0,
        max_value=100,
        widget=forms.TextInput({"class": "short", "inputmode": "numeric"}),
        error_messages=dict.fromkeys(("required", "invalid", "min_value", "max_value"), NO_RATE),
    )

    @staticmethod
    def recent(now: datetime) -> dict[str, Any]:
        end = timerange.ceil(now, timerange.MINUTE)
        return {"start": end - timedelta(days=7), "end": end, "sample_rate": 100}

    def report(self, error: ValidationError) -> None:
        self.add_error(None, error)
