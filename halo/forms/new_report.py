"""The form that asks for a report."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, override

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict

from catalyst import timerange
from catalyst.agents.models import Agent
from catalyst.form_messages import show_errors
from catalyst.timerange import CUSTOM, LAST, RANGES, TimeRange
from halo.choices import ReasoningEffort
from halo.forms.analysts import Analysts, definition_of
from halo.models import Run
from halo.models.run import MAX_PROMPT_CHARACTERS, MAX_WINDOW_DAYS
from halo.runs.requests import DEFAULT_PROMPT, MAX_WINDOW, QUESTIONS, Definition

TIME_ERRORS = dict.fromkeys(("required", "invalid"), "Enter a date and time")
WINDOWS = {key: LAST[key].capitalize() for key, (length, _) in RANGES.items() if length <= MAX_WINDOW}
LONGEST = list(WINDOWS)[-1]
# The limits of a model, with what they are without a choice.
LIMITS: Mapping[str, Any] = {
    "span_limit": 10_000,
    "max_depth": 1,
    "max_turns": 20,
    "reasoning_effort": "",
    "budget_tokens": None,
    "budget_usd": None,
    "budget_minutes": 30,
}
# The form field of errors of `Definition`.
FIELDS = {"window_start": "window", "window_end": "end", "connection": "engine", "model": "engine"}


class TimeWidget(forms.DateTimeInput):
    input_type = "datetime-local"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%dT%H:%M")


def _number(label: str, help_text: str = "", *, required: bool = True) -> forms.IntegerField:
    return forms.IntegerField(
        label=label,
        help_text=help_text,
        required=required,
        widget=forms.TextInput({"inputmode": "numeric", "autocomplete": "off"}),
        error_messages={"required": "Enter a whole number"},
    )


class ReportForm(forms.Form):
    """What a report is about, who writes it, and its limits. `again`: a run that is repeated."""

    window = forms.ChoiceField(choices=[*WINDOWS.items(), (CUSTOM, "From and to…")])
    start = forms.DateTimeField(label="From (UTC)", widget=TimeWidget, required=False, error_messages=TIME_ERRORS)
    end = forms.DateTimeField(label="To (UTC)", widget=TimeWidget, required=False, error_messages=TIME_ERRORS)
    prompt = forms.CharField(
        label="Question",
        required=False,
        initial=DEFAULT_PROMPT,
        max_length=MAX_PROMPT_CHARACTERS,
        widget=forms.Textarea({"rows": 4}),
    )
    engine = forms.ChoiceField(label="Analyst")
    span_limit = _number("Spans to read", "Failed traces first, then a sample of the others. Only whole traces.")
    max_turns = _number("Turns", "How often the model may look.")
    max_depth = _number("Depth", "Levels of helpers below the analyst.")
    reasoning_effort = forms.ChoiceField(
        label="Reasoning effort", required=False, choices=[("", "Default of the model"), *ReasoningEffort.choices]
    )
    budget_tokens = _number("Tokens at most", "Empty: no limit.", required=False)
    budget_usd = forms.DecimalField(
        label="US dollars at most",
        help_text="Empty: no limit.",
        required=False,
        widget=forms.TextInput({"inputmode": "decimal", "autocomplete": "off"}),
        error_messages={"invalid": "Enter a number"},
    )
    budget_minutes = _number("Minutes at most")

    def __init__(
        self, agent: Agent, now: datetime, data: QueryDict | None = None, *, time_range: TimeRange, again: Run | None
    ) -> None:
        super().__init__(data, initial=_initial(time_range, again, now), auto_id="report-%s", label_suffix="")
        self.agent, self.now = agent, now
        self.analysts = Analysts(agent, again)
        self.questions, self.max_days, self.limits = QUESTIONS, MAX_WINDOW_DAYS, LIMITS
        # The page shows more than a report reads.
        self.is_shorter = again is None and time_range.end - time_range.start > MAX_WINDOW and data is None
        engine = self.fields["engine"]
        assert isinstance(engine, forms.ChoiceField)
        engine.choices = self.analysts.groups
        self.initial["engine"] = self.analysts.initial

    @override
    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if cleaned.get("window") == CUSTOM:
            for name in ("start", "end"):
                if cleaned.get(name) is None and name not in self.errors:
                    self.add_error(name, TIME_ERRORS["required"])
        return cleaned

    def definition(self, focus: str) -> Definition:
        """What a valid form asks for. `focus`: parameters of a list of traces."""
        cleaned = self.cleaned_data
        start, end = self._window()
        return Definition(
            window_start=start,
            window_end=end,
            prompt=cleaned["prompt"],
            focus=focus,
            **definition_of(cleaned["engine"]),
            **{name: cleaned[name] for name in LIMITS},
        )

    def _window(self) -> tuple[datetime, datetime]:
        cleaned = self.cleaned_data
        if cleaned["window"] == CUSTOM:
            return cleaned["start"], min(cleaned["end"], self.now)
        return preset(cleaned["window"], self.now)

    def report(self, error: ValidationError) -> None:
        """Show errors of `halo.runs.requests` beside their fields."""
        show_errors(self, error, FIELDS)

    @property
    def has_errors_in_limits(self) -> bool:
        return not self.errors.keys().isdisjoint(LIMITS)

    @property
    def changes_limits(self) -> bool:
        return any(self[name].value() not in (default, _typed(default)) for name, default in LIMITS.items())

    @property
    def invalid_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.errors if name in self.fields]


def preset(key: str, now: datetime) -> tuple[datetime, datetime]:
    """What a page shows of this range so far, at most as long as a report may be."""
    shown = timerange.named(key, now)
    return max(shown.start, now - MAX_WINDOW), min(shown.end, now)


def _typed(value: object) -> str:
    return "" if value is None else str(value)


def _initial(time_range: TimeRange, again: Run | None, now: datetime) -> dict[str, Any]:
    if again is None:
        return {**LIMITS, **_initial_window(time_range, now)}
    asked = {name: getattr(again, name) for name in LIMITS}
    if isinstance(usd := asked["budget_usd"], Decimal):
        asked["budget_usd"] = f"{usd.normalize():f}"
    window = {"window": CUSTOM, "start": again.window_start, "end": timerange.ceil(again.window_end, timerange.MINUTE)}
    return {"prompt": again.prompt, **asked, **window}


def _initial_window(time_range: TimeRange, now: datetime) -> dict[str, Any]:
    end = min(time_range.end, timerange.ceil(now, timerange.MINUTE))
    shown = {"start": max(time_range.start, end - MAX_WINDOW), "end": end}
    if time_range.key in WINDOWS:
        return shown | {"window": time_range.key}
    return shown | {"window": LONGEST if time_range.key != CUSTOM else CUSTOM}
