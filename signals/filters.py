"""Filters of the lists of signals and labels, and the forms that read them from query strings."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, override

from django import forms
from django.core.exceptions import ValidationError

from catalyst import timerange
from catalyst.filter_form import FilterForm, NumberField, TextField
from catalyst.params import MAX_VERSION_DIGITS
from catalyst.timerange import iso, parse_moment
from signals.definitions.choices import Scope, State
from signals.definitions.definition import MAX_LABEL_CHARACTERS, MAX_NAME_CHARACTERS


@dataclass(frozen=True, slots=True)
class SignalFilter:
    """Filter and sort order of a list of signals. `agent`: an id.

    `only` goes by the labels of a range: signals with failed or pending ones, or without a judge.
    """

    text: str = ""
    state: str = ""
    scope: str = ""
    agent: int | None = None
    sort: str = "name"
    only: str = ""

    @property
    def narrows(self) -> bool:
        return replace(self, sort="name") != SignalFilter()


@dataclass(frozen=True, slots=True)
class Counted:
    """What an alert counted: live labels whose targets settled in [start, end), judged before its evaluation.

    `judged_before`: when that was. None for all that are judged by now.
    """

    start: datetime
    end: datetime
    judged_before: datetime | None = None

    @property
    def text(self) -> str:
        return timerange.short(self.start, self.end)

    @property
    def query(self) -> dict[str, str]:
        """The parameters of LabelFilterForm."""
        parameters = {"settled": f"{iso(self.start)}/{iso(self.end)}"}
        return parameters | ({"judged": self.judged_before.astimezone(UTC).isoformat()} if self.judged_before else {})


@dataclass(frozen=True, slots=True)
class LabelFilter:
    """Filter of a list of labels.

    `status`: a label's status, `waiting` for queued and running, or `labelled` for any label with a value, also one
    that is judged again. `version`: its number. `pools_versions`: all labels of all versions, instead of one for each
    target. `run`: an id. `text`: part of the reason. `counted`: whatever the range, with a version.
    """

    value: str = ""
    status: str = ""
    version: int | None = None
    run: int | None = None
    text: str = ""
    pools_versions: bool = False
    counted: Counted | None = None

    @property
    def includes_superseded(self) -> bool:
        return self.pools_versions or self.version is not None or self.run is not None

    @property
    def narrows(self) -> bool:
        return self != LabelFilter()


STATUSES = ("labelled", "waiting", "done", "failed", "skipped")
# The version that stands for all of them. Numbers begin at 1.
ALL_VERSIONS = 0
MAX_SEARCH_CHARACTERS = 200
# In the place of a state: archived signals, whatever their state.
ARCHIVED = "archived"
ONLY = {"failed": "with failed labels", "waiting": "with pending labels", "unjudged": "that are active without a judge"}
SORTS = ("name", "volume", "waiting", "failed", "cost", "last")


class VersionField(NumberField):
    """The number of a version, or `all`, which is ALL_VERSIONS."""

    @override
    def to_python(self, value: Any) -> int | None:
        return ALL_VERSIONS if value == "all" else super().to_python(value) or None

    @override
    def bound_data(self, data: Any, initial: Any) -> Any:
        return data if data == "all" else super().bound_data(data, initial)


class WindowField(forms.Field):
    """Two times with a slash between."""

    default_error_messages = {"invalid": "Enter two times with a slash between."}

    @override
    def to_python(self, value: Any) -> tuple[datetime, datetime] | None:
        if value in self.empty_values:
            return None
        start, end = map(parse_moment, str(value).partition("/")[::2])
        if start is None or end is None or not start < end:
            raise ValidationError(self.error_messages["invalid"], code="invalid")
        return start, end


class MomentField(forms.Field):
    """A time in ISO 8601, in UTC if it names no zone."""

    default_error_messages = {"invalid": "Enter a time."}

    @override
    def to_python(self, value: Any) -> datetime | None:
        if value in self.empty_values:
            return None
        found = parse_moment(str(value))
        if found is None:
            raise ValidationError(self.error_messages["invalid"], code="invalid")
        return found


class SignalFilterForm(FilterForm):
    """Filter and sort order of a list of signals."""

    q = TextField(
        label="Search signals",
        max_length=MAX_NAME_CHARACTERS,
        widget=forms.SearchInput({"data-filter": True, "placeholder": "Search signals"}),
    )
    state = forms.ChoiceField(choices=[("", "Any state"), *State.choices, (ARCHIVED, "Archived")])
    agent = NumberField(widget=forms.Select)
    scope = forms.ChoiceField(choices=[("", "Any scope"), *((scope, scope) for scope in Scope.values)])
    only = forms.ChoiceField(choices=[("", ""), *ONLY.items()])
    sort = forms.ChoiceField(choices=[(sort, sort) for sort in SORTS])

    def offer_agents(self, agents: Iterable[tuple[int, str]]) -> None:
        """Take (id, name) of each agent to choose from."""
        self.set_choices("agent", [("", "Any agent"), *agents])

    @property
    def signal_filter(self) -> SignalFilter:
        values = self.valid_values
        return SignalFilter(text=values.pop("q", ""), **values)


class LabelFilterForm(FilterForm):
    """Filter of a list of labels."""

    q = TextField(
        label="Search reasons",
        max_length=MAX_SEARCH_CHARACTERS,
        widget=forms.SearchInput({"data-filter": True, "placeholder": "Search reasons"}),
    )
    label = TextField(max_length=MAX_LABEL_CHARACTERS, strip=False)
    status = forms.ChoiceField(choices=[(status, status) for status in STATUSES])
    version = VersionField(max_digits=MAX_VERSION_DIGITS, widget=forms.Select)
    run = NumberField(widget=forms.Select)
    settled = WindowField(widget=forms.HiddenInput)
    judged = MomentField(widget=forms.HiddenInput)

    @override
    def clean(self) -> dict[str, Any]:
        if self.cleaned_data.get("settled") and not self.cleaned_data.get("version"):
            self.add_error("settled", "Choose a version, too: a window has the labels of one.")
        return self.cleaned_data

    def offer(self, versions: Iterable[int], runs: Iterable[int]) -> None:
        """Take the numbers of versions and the ids of runs to choose from."""
        numbered = [(number, f"v{number}") for number in versions]
        self.set_choices("version", [("", "Newest label of each target"), *numbered, ("all", "All versions, pooled")])
        self.set_choices("run", [("", "Live and backfills"), *((pk, f"Backfill {pk}") for pk in runs)])

    @property
    def label_filter(self) -> LabelFilter:
        values = self.valid_values
        pools_versions = values.get("version") == ALL_VERSIONS
        if pools_versions:
            del values["version"]
        value, text = values.pop("label", ""), values.pop("q", "")
        settled, judged_before = values.pop("settled", None), values.pop("judged", None)
        counted = Counted(settled[0], settled[1], judged_before) if settled else None
        return LabelFilter(value=value, text=text, pools_versions=pools_versions, counted=counted, **values)


class ComparisonForm(FilterForm):
    """Two versions to compare, by default the `current` one with the one before, and a change from label to label."""

    a = NumberField(label="Compare", max_digits=MAX_VERSION_DIGITS, widget=forms.Select)
    b = NumberField(label="with", max_digits=MAX_VERSION_DIGITS, widget=forms.Select)
    was = TextField(max_length=MAX_LABEL_CHARACTERS, strip=False)
    became = TextField(max_length=MAX_LABEL_CHARACTERS, strip=False)

    def __init__(self, params: Mapping[str, str], numbers: Iterable[int], current: int) -> None:
        super().__init__(params, auto_id="%s")
        for name in ("a", "b"):
            self.set_choices(name, [(number, f"v{number}") for number in numbers])
        values = self.valid_values
        b = values.get("b") or current
        a = values.get("a") or b - 1
        self.initial = {"a": a, "b": b}
        self.versions = (a, b)

    @property
    def move(self) -> tuple[str, str] | None:
        """A change from one label to another. None unless both are given."""
        was, became = (self.valid_values.get(name, "") for name in ("was", "became"))
        return (was, became) if was and became else None
