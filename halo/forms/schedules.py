"""The form of a schedule."""

from collections.abc import Sequence
from copy import deepcopy
from decimal import Decimal
from typing import Any, override

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict

from catalyst import notifications
from catalyst.agents.models import Agent
from catalyst.form_messages import show_errors
from halo.choices import Frequency
from halo.forms.analysts import Analysts, definition_of
from halo.forms.new_report import LIMITS, ReportForm
from halo.models import Schedule
from halo.models.conversation import MAX_TITLE_CHARACTERS
from halo.models.run import MAX_FOCUS_CHARACTERS, MAX_PROMPT_CHARACTERS
from halo.recurrence import DAYS, MAX_LOOKBACK_HOURS, Recurrence, zones
from halo.runs.requests import DEFAULT_PROMPT
from halo.schedules.writes import WHEN, Definition

AUTOMATIC = ("", "A model if one is connected, else the offline analyst")
DAYS_OF = {"days_of_week": Frequency.WEEKLY, "days_of_month": Frequency.MONTHLY}
FIELDS = {"connection": "engine", "model": "engine"}
# What a new form begins with.
FIRST = Recurrence(frequency=Frequency.DAILY, hours=[9])
START: dict[str, Any] = {
    "frequency": Frequency.DAILY,
    "hours": "9",
    "minutes": "0",
    "days_of_week": ["1"],
    "days_of_month": "1",
    "timezone": "UTC",
    "prompt": DEFAULT_PROMPT,
    **LIMITS,
    "max_depth": 2,
}


class NumbersField(forms.CharField):
    """Whole numbers as people write them: `9, 17`."""

    def __init__(self, **about: Any) -> None:
        super().__init__(
            required=False, widget=forms.TextInput({"inputmode": "numeric", "autocomplete": "off"}), **about
        )

    @override
    def to_python(self, value: Any) -> Any:
        words = str(value or "").replace(",", " ").split()
        if not all(word.isascii() and word.isdecimal() and len(word) < 4 for word in words):
            raise ValidationError("Enter whole numbers with commas between them, such as 9, 17")
        return [int(word) for word in words]


class ScheduleForm(forms.Form):
    """Fields that a cadence does not have are hidden, and not read."""

    title = forms.CharField(max_length=MAX_TITLE_CHARACTERS)
    frequency = forms.ChoiceField(
        label="Every",
        choices=[
            (Frequency.HOURLY, "hour"),
            (Frequency.DAILY, "day"),
            (Frequency.WEEKLY, "week"),
            (Frequency.MONTHLY, "month"),
        ],
    )
    days_of_week = forms.TypedMultipleChoiceField(
        label="On", required=False, coerce=int, choices=[(str(number), day) for number, day in enumerate(DAYS)]
    )
    days_of_month = NumbersField(
        label="Days of the month", help_text="1 to 31, such as 1, 15. A month that is too short has it on its last day."
    )
    hours = NumbersField(label="Hours", help_text="0 to 23, such as 9, 17.")
    minutes = NumbersField(label="Minutes", help_text="0 to 59, such as 0, 30.")
    timezone = forms.CharField(label="Time zone", widget=forms.TextInput({"list": "zones", "autocomplete": "off"}))
    lookback_hours = forms.IntegerField(
        label="Hours to look back",
        help_text=f"Empty: an hour, a day, a week or 30 days, as it runs. At most {MAX_LOOKBACK_HOURS}.",
        required=False,
        widget=forms.TextInput({"inputmode": "numeric", "autocomplete": "off"}),
    )
    focus = forms.CharField(
        label="Only traces with",
        required=False,
        max_length=MAX_FOCUS_CHARACTERS,
        help_text="Parameters of a list of traces, such as status=error. Empty: all traces of the agent.",
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}),
    )
    engine = forms.ChoiceField(label="Analyst", required=False)
    prompt = forms.CharField(
        label="Question", required=False, max_length=MAX_PROMPT_CHARACTERS, widget=forms.Textarea({"rows": 4})
    )
    channels = forms.TypedMultipleChoiceField(required=False, coerce=int)

    def __init__(
        self, agent: Agent, data: QueryDict | None = None, *, schedule: Schedule | None = None, focus: str = ""
    ) -> None:
        initial = _initial(schedule) if schedule else START | {"focus": focus}
        super().__init__(data, initial=initial, auto_id="schedule-%s", label_suffix="")
        self.agent, self.schedule, self.limits, self.zones = agent, schedule, LIMITS, sorted(zones())
        for name in LIMITS:
            self.fields[name] = deepcopy(ReportForm.base_fields[name])
        self.analysts = Analysts(agent, schedule)
        self._offer("engine", [AUTOMATIC, *self.analysts.groups])
        self._offer("channels", [(str(pk), name) for pk, name in notifications.channels(agent.project_id)])
        if schedule is None and data is None:
            self.fields["timezone"].widget.attrs["data-own-zone"] = True
        if schedule is not None and (schedule.engine or schedule.connection_id or schedule.model_name):
            self.initial["engine"] = self.analysts.initial

    def _offer(self, name: str, choices: Sequence[Any]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField | forms.MultipleChoiceField)
        field.choices = choices

    @property
    def definition(self) -> Definition:
        """What a valid form asks for."""
        cleaned = self.cleaned_data
        return Definition(
            title=cleaned["title"],
            **self._when(),
            **{name: cleaned[name] for name in ("lookback_hours", "focus", "channels", *LIMITS)},
            **definition_of(cleaned["engine"]) if cleaned["engine"] else {},
            prompt="" if cleaned["prompt"].strip() == DEFAULT_PROMPT else cleaned["prompt"],
        )

    @property
    def recurrence(self) -> Recurrence | None:
        """When it would run. None if something is wrong with that."""
        if not self.is_bound:
            return self.schedule.recurrence if self.schedule else FIRST
        if not self.errors.keys().isdisjoint(WHEN):
            return None
        recurrence = Recurrence(**self._when())
        for field, text in recurrence.errors():
            self.add_error(field, text)
        return recurrence if self.errors.keys().isdisjoint(WHEN) else None

    def _when(self) -> dict[str, Any]:
        typed = {name: self.cleaned_data[name] for name in WHEN}
        unread = [name for name, kind in DAYS_OF.items() if typed["frequency"] != kind]
        return typed | dict.fromkeys(unread, ())

    def report(self, error: ValidationError) -> None:
        """Show errors of `halo.schedules.writes` beside their fields."""
        show_errors(self, error, FIELDS)

    @property
    def times_of(self) -> tuple[str, ...]:
        """The fields that say when it runs."""
        return WHEN

    @property
    def invalid_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.errors if name in self.fields]

    @property
    def chosen_days(self) -> list[str]:
        return [str(each) for each in self["days_of_week"].value() or []]

    @property
    def chosen_channels(self) -> list[str]:
        return [str(each) for each in self["channels"].value() or []]

    @property
    def has_errors_in_limits(self) -> bool:
        return not self.errors.keys().isdisjoint(LIMITS)


def _initial(schedule: Schedule) -> dict[str, Any]:
    same = {name: getattr(schedule, name) for name in ("title", "frequency", "timezone", "focus", "channels", *LIMITS)}
    if isinstance(usd := same["budget_usd"], Decimal):
        same["budget_usd"] = f"{usd.normalize():f}"
    numbers = {name: ", ".join(map(str, getattr(schedule, name))) for name in ("hours", "minutes", "days_of_month")}
    return {
        **same,
        **{name: text or START[name] for name, text in numbers.items()},
        "hours": numbers["hours"],
        "days_of_week": schedule.days_of_week or START["days_of_week"],
        "lookback_hours": Definition.of(schedule).lookback_hours,
        "prompt": schedule.prompt or DEFAULT_PROMPT,
    }
