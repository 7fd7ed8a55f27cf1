"""Form of a test: number of targets and time window."""

from datetime import timedelta

from django import forms
from django.http import QueryDict

from signals.runs.signal_tests import MAX_TARGETS
from traces.trace_groups import Examples

WINDOWS = {
    "1h": ("last hour", timedelta(hours=1)),
    "24h": ("last 24 hours", timedelta(hours=24)),
    "7d": ("last 7 days", timedelta(days=7)),
    "30d": ("last 30 days", timedelta(days=30)),
    "all": ("all data", timedelta(days=5_000)),
}
WINDOWS_TEXTS = [(key, text) for key, (text, _) in WINDOWS.items()]
OF_FINDING = "finding"


class SampleForm(forms.Form):
    """The sample of a test. The fields are part of the editor's form, hence their prefix.

    `examples`: of the finding that the signal is to measure; their traces can be chosen then.
    """

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
    test_window = forms.ChoiceField(label="From", choices=WINDOWS_TEXTS, initial="7d")

    def __init__(self, data: QueryDict | None = None, examples: Examples | None = None) -> None:
        super().__init__(data)
        if examples is None:
            return
        window = self.fields["test_window"]
        assert isinstance(window, forms.ChoiceField)
        window.choices = [(OF_FINDING, "the finding"), *WINDOWS_TEXTS]
        self.initial["test_window"] = OF_FINDING
        self.initial["test_count"] = len(examples.cited) + len(examples.others) or 1

    @property
    def is_of_finding(self) -> bool:
        return bool(self.cleaned_data["test_window"] == OF_FINDING)

    @property
    def length(self) -> timedelta:
        return WINDOWS[self.cleaned_data["test_window"]][1]
