"""Filters of the pages of traces, sessions and agents, and the forms that read them from query strings."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, override
from uuid import UUID

from django import forms
from django.http import QueryDict

from catalyst.core.models import Project
from catalyst.filter_form import FilterForm, NumberField, SortField, TextField
from catalyst.json_value import InvalidValue
from catalyst.pagination import NEWEST_FIRST, Sort
from traces import filter_box, filters, label_sources, trace_groups
from traces.filter_box import SESSION, Unreadable
from traces.filters import ATTRIBUTE, BOUNDS, NAMES, STATUS, Filter
from traces.label_sources import Dimension
from traces.models.sorting import AGENT_SORTS, MODEL_SORTS, SESSION_SORTS, TOOL_SORTS, TRACE_SORTS
from traces.models.trace import TraceFilter

MAX_TEXT_CHARACTERS = 200
MAX_LABELS = 5
TEXT = {"autocomplete": "off"}
NUMBER = {**TEXT, "inputmode": "numeric"}
# Filters that lists of sessions don't have.
OF_TRACES = ("q", "session", "skewed", "finding")
# By static/js/menus.js; without JavaScript a button sends the form.
SENT_AT_ONCE = {"data-submits": True}
BOX = "q"
SEARCH = {
    **TEXT,
    "data-filter": True,
    "list": "filter-suggestions",
    "aria-label": "Search or filter",
}
# Of the resource, not of a span, each with the filter that has it.
RESOURCE_FILTERS = {
    "service.name": "service",
    "deployment.environment": "environment",
    "deployment.environment.name": "environment",
}
HINT = "Search name, input or ID, or add a filter, such as model = gpt-4o"


class AddedTextField(TextField):
    """A further text. Its input is empty, because the page shows the texts of the query as chips."""

    @override
    def bound_data(self, data: Any, initial: Any) -> Any:
        return initial


class TraceFilterForm(FilterForm):
    """Filter and sort order of a list of traces. An unknown label or finding matches nothing."""

    q = AddedTextField(label="Search", max_length=MAX_TEXT_CHARACTERS, widget=forms.SearchInput(SEARCH))
    agent = NumberField()
    session = NumberField()
    skewed = forms.BooleanField()
    finding = NumberField()
    sort = SortField(TRACE_SORTS)
    # `Filter` checks the fields below.
    environment = forms.Field()
    service = forms.Field()
    model = forms.Field()
    user = forms.Field()
    status = forms.Field()
    min_duration_ms = forms.Field(label="Min latency (ms)", widget=forms.TextInput(NUMBER))
    max_duration_ms = forms.Field(label="Max latency (ms)", widget=forms.TextInput(NUMBER))
    min_tokens = forms.Field(widget=forms.TextInput(NUMBER))
    max_tokens = forms.Field(widget=forms.TextInput(NUMBER))
    attribute = AddedTextField(
        label="Attribute (key=value)", widget=forms.TextInput({**TEXT, "placeholder": "tool.name=search"})
    )
    traffic_filter: Filter = filters.EVERYTHING
    examples = filter_box.EXAMPLES

    def __init__(self, project: Project, params: QueryDict, hint: str = HINT) -> None:
        """`hint`: what the filter box takes, in a few words."""
        super().__init__(params, auto_id="filter-%s")
        self.project, self.params = project, params
        self.fields[BOX].widget.attrs["placeholder"] = hint

    def clean_q(self) -> str:
        """The text to search for. A condition that is still there could not be turned into a parameter."""
        text: str = self.cleaned_data[BOX]
        problem = _problem(text)
        if not problem:
            return text
        self.add_error(None, problem)
        # To be corrected, while the text before it is still searched for.
        self.initial[BOX] = text
        before = self.params.getlist(BOX)[-2:-1]
        return before[0].replace("\0", "")[:MAX_TEXT_CHARACTERS] if before else ""

    @override
    def clean(self) -> dict[str, Any]:
        fields = self._traffic_fields()
        try:
            self.traffic_filter = Filter.parse(fields)
        except InvalidValue as error:
            for name, text in error.errors.items():
                self.add_error(ATTRIBUTE if name == "attributes" else name, text)
            self.traffic_filter = Filter.parse({name: fields[name] for name in fields.keys() - error.errors.keys()})
        self._check_attributes()
        if len(self.params.getlist("label")) > MAX_LABELS:
            self.add_error(None, f"Labels: at most {MAX_LABELS}.")
        return self.cleaned_data

    def _check_attributes(self) -> None:
        texts = [text for text in self.params.getlist(ATTRIBUTE) if text.strip()]
        for problem in _problems(texts):
            self.add_error(ATTRIBUTE, problem)
        if wrong := [text for text in texts if not _is_attribute(text)]:
            # To be corrected.
            self.initial[ATTRIBUTE] = wrong[-1]

    def _traffic_fields(self) -> dict[str, Any]:
        """Fields of the traffic filter as the query has them; `attribute=name=value` for each attribute."""
        fields: dict[str, Any] = {name: values for name in NAMES if (values := self.params.getlist(name))}
        fields |= {name: self.params[name] for name in (STATUS, *BOUNDS) if self.params.get(name)}
        pairs = (text.partition("=") for text in self.params.getlist(ATTRIBUTE) if "=" in text)
        named = {name.strip(): value for name, _, value in pairs}
        fields["attributes"] = {key: value for key, value in named.items() if key and key not in RESOURCE_FILTERS}
        return fields

    @property
    def has_errors_in_menu(self) -> bool:
        """Whether a field has an error that is not a condition of the filter box or of a facet."""
        return not self.errors.keys().isdisjoint((*BOUNDS, ATTRIBUTE))

    @property
    def sort_order(self) -> Sort:
        return self.sort_by("sort", NEWEST_FIRST)

    @cached_property
    def trace_filter(self) -> TraceFilter:
        """The valid part of the filter."""
        values = self.valid_values
        finding = values.get("finding")
        keys = [key.replace("\0", "")[:MAX_TEXT_CHARACTERS] for key in self.params.getlist("label")[:MAX_LABELS]]
        return TraceFilter(
            self.project.pk,
            agent=values.get("agent"),
            session=values.get("session"),
            text=values.get("q", ""),
            traffic_filter=self.traffic_filter,
            labels=label_sources.conditions(self.project, keys) if keys else (),
            skewed=values.get("skewed", False),
            finding=None if finding is None else trace_groups.group(self.project, finding),
        )


class SessionFilterForm(TraceFilterForm):
    """Filter and sort order of a list of sessions."""

    sort = SortField(SESSION_SORTS)

    @override
    def clean(self) -> dict[str, Any]:
        for name in OF_TRACES:
            if name != BOX and self.cleaned_data.get(name):
                self.add_error(name, "Only traces can be filtered by it.")
        if key := self.cleaned_data.get(BOX):
            self.add_error(
                BOX, f"No session alone has an ID that begins with “{key}”. Only traces can be searched by text."
            )
        return super().clean()


class AgentSortForm(FilterForm):
    """Sort order of the list of agents."""

    sort = SortField(AGENT_SORTS)

    @property
    def sort_order(self) -> Sort:
        return self.sort_by("sort", Sort("runs"))


class CallSortForm(FilterForm):
    """Sort orders of the models and tools of an agent."""

    models_sort = SortField(MODEL_SORTS, label="Sort of models")
    tools_sort = SortField(TOOL_SORTS, label="Sort of tools")

    @property
    def models_order(self) -> Sort:
        return self.sort_by("models_sort", Sort("cost"))

    @property
    def tools_order(self) -> Sort:
        return self.sort_by("tools_sort", Sort("calls"))


class BreakdownForm(FilterForm):
    """By what the numbers of an agent are broken down."""

    def __init__(self, params: Mapping[str, str], dimensions: Sequence[Dimension]) -> None:
        super().__init__(params, auto_id="%s")
        self.dimensions = dimensions
        choices = [("", "None"), *((dimension.key, dimension.name) for dimension in dimensions)]
        self.fields["by"] = forms.ChoiceField(
            label="Group by", choices=choices, required=False, widget=forms.Select(SENT_AT_ONCE)
        )

    @property
    def dimension(self) -> Dimension | None:
        key = self.valid_values.get("by")
        return next((dimension for dimension in self.dimensions if dimension.key == key), None)


def tidied(project: Project, params: QueryDict) -> QueryDict | None:
    """The query with what the filter box says as parameters, and without empty fields. None if it is so already."""
    query = params.copy()
    texts = [text for text in query.pop(BOX, []) if not _move_condition(project, text, query)]
    query.setlist(BOX, _kept(texts))
    for name in TraceFilterForm.base_fields:
        if values := _corrected(name, query.getlist(name)):
            query.setlist(name, values)
        else:
            query.pop(name, None)
    return None if query == params else query


def _kept(texts: Sequence[str]) -> Sequence[str]:
    """The last text to search for, and a condition after it that can't be read."""
    written = [text for text in texts if text.strip()]
    sought = [text for text in written if not _problem(text)]
    return [*sought[-1:], *(text for text in written[-1:] if _problem(text))]


def _corrected(name: str, values: Sequence[str]) -> Sequence[str]:
    """Values that are not empty. An attribute that can't be read is replaced by the one after it."""
    readable = values if name != ATTRIBUTE else [*filter(_is_attribute, values[:-1]), *values[-1:]]
    return [value for value in readable if value]


def _move_condition(project: Project, text: str, query: QueryDict) -> bool:
    """Move a condition of the filter box to its parameter. False if the text is none, or can't be."""
    condition = _condition(project, text)
    if condition is None:
        return False
    name, value = condition
    query.pop("after", None)
    if name in NAMES:
        query.setlist(name, [*dict.fromkeys([*query.getlist(name), value])])
    elif name == ATTRIBUTE:
        others = [other for other in query.getlist(name) if _key(other) != _key(value)]
        query.setlist(name, [*others, value])
    else:
        query[name] = value
    return True


def _condition(project: Project, text: str) -> tuple[str, str] | None:
    try:
        condition = filter_box.read(text)
    except Unreadable:
        return None
    if condition is None or condition[0] != SESSION:
        return condition
    session = project.sessions.with_traces().filter(key=condition[1].replace("\0", "")).first()
    return (SESSION, str(session.pk)) if session else None


def _problem(text: str) -> str:
    """Why a condition can't be turned into a parameter. Empty for a text to search for."""
    try:
        condition = filter_box.read(text)
    except Unreadable as error:
        return str(error)
    return f"No session has the ID “{condition[1]}”." if condition and condition[0] == SESSION else ""


def _problems(attributes: Sequence[str]) -> Iterator[str]:
    """Why attributes, as texts, are not applied."""
    for text in attributes:
        if "=" not in text:
            yield f"“{text}” has no value."
    for key, count in Counter(map(_key, attributes)).items():
        if key in RESOURCE_FILTERS:
            yield f"{key} is an attribute of the resource, not of a span. Filter by {RESOURCE_FILTERS[key]} instead."
        elif count > 1:
            yield f"“{key}” has several values, and only the last is applied."


def _is_attribute(text: str) -> bool:
    return "=" in text and _key(text) not in RESOURCE_FILTERS


def _key(attribute: str) -> str:
    return attribute.partition("=")[0].strip()


def trace_id(text: str) -> UUID | None:
    """Returns None unless the text is a trace id of 32 hexadecimal digits."""
    if len(text) != 32:
        return None
    try:
        return UUID(hex=text)
    except ValueError:
        return None
