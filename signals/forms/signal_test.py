"""Form of a test: number of targets and time window."""

from datetime import timedelta

from django import forms

from signals.runs.signal_tests import MAX_TARGETS

WINDOWS = {
    "1h": ("last hour", timedelta(hours=1)),
    "24h": ("last 24 hours", timedelta(hours=24)),
    "7d": ("last 7 days", timedelta(days=7)),
    "30d": ("last 30 days", timedelta(days=30)),
    "all": ("all data", timedelta(days=5_000)),
}


class SampleForm(forms.Form):
    """The sample of a test. The fields are part of the editor's form, hence their prefix."""

    test_count = forms.IntegerField(
        label="Sample size",
        min_value=1,
        max_value=MAX_TARGETS,
        initial=10,
        widget=forms.NumberInput({"class": "short", "inputmode": "numeric"}),
        error_messages=dict.fromkeys(
            ("required", "invalid", "min_value", "max_value"), f"Enter a sample size from 1 to {MAX_TARGETS}"
        ),
    )
    test_window = forms.ChoiceField(
        label="From", choices=[(key, text) for key, (text, _) in WINDOWS.items()], initial="7d"
    )

    @property
    def length(self) -> timedelta:
        return WINDOWS[self.cleaned_data["test_window"]][1]
