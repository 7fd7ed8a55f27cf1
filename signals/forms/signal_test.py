"""Form of a test: number of targets and time window."""

from datetime import timedelta

from django import forms

from signals.runs.signal_tests import MAX_TARGETS

WINDOWS = {
    "1h": ("the last hour", timedelta(hours=1)),
    "24h": ("the last 24 hours", timedelta(hours=24)),
    "7d": ("the last 7 days", timedelta(days=7)),
    "30d": ("the last 30 days", timedelta(days=30)),
    "all": ("all that is stored", timedelta(days=5_000)),
}


class SampleForm(forms.Form):
    """The sample of a test. The fields are part of the editor's form, hence their prefix."""

    test_count = forms.IntegerField(
        label="Newest",
        min_value=1,
        max_value=MAX_TARGETS,
        initial=10,
        widget=forms.NumberInput({"class": "short", "inputmode": "numeric"}),
        error_messages=dict.fromkeys(
            ("required", "invalid", "min_value", "max_value"), f"A test takes 1 to {MAX_TARGETS} targets."
        ),
    )
    test_window = forms.ChoiceField(
        label="Out of", choices=[(key, text) for key, (text, _) in WINDOWS.items()], initial="7d"
    )

    @property
    def length(self) -> timedelta:
        return WINDOWS[self.cleaned_data["test_window"]][1]
