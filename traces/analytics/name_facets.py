"""The environments, services, models and users of the rows of a list, with the number of rows that each would list."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import QuerySet

from traces.filters import NAMES
from traces.models import Trace
from traces.models.trace import TraceFilter

MAX_COUNTED_ROWS = 10_000
MAX_VALUES = 10


@dataclass(frozen=True, slots=True)
class NamedValue:
    """`count`: the rows that the list has with this value alone; None if it is not known."""

    value: str
    count: int | None
    is_chosen: bool = False


@dataclass(frozen=True, slots=True)
class NameFacet:
    """The most frequent values of a name, and the chosen ones. `more`: how many further values there are."""

    name: str
    values: Sequence[NamedValue]
    more: int = 0

    @property
    def is_counted(self) -> bool:
        return all(each.count is not None for each in self.values)

    @property
    def is_open(self) -> bool:
        """Services and users are folded, so that models and labels are in sight."""
        return self.has_chosen or self.name in ("environment", "model")

    @property
    def has_chosen(self) -> bool:
        return any(each.is_chosen for each in self.values)


def count(wanted: TraceFilter, matching: Callable[[TraceFilter], QuerySet[Any]]) -> list[NameFacet]:
    """Facets that offer a choice, in one query. The chosen values of a name don't narrow its counts.

    `matching`: the rows of a list, newest first. Among more than MAX_COUNTED_ROWS, values of the newest ones are
    offered without a count.
    """
    found: dict[str, _Found] = {name: _Found() for name in NAMES}
    with suppress(EmptyResultSet), connection.cursor() as cursor:
        cursor.execute(*_statement(wanted, matching))
        for name, value, number, values in cursor.fetchall():
            if value is None:
                found[name].rows = number
            else:
                found[name].counts[value] = number
                found[name].values = values
    return [facet for name in NAMES if (facet := found[name].facet(name, _chosen(wanted, name)))]


def uncounted(wanted: TraceFilter) -> list[NameFacet]:
    """The chosen values alone."""
    chosen = {name: _chosen(wanted, name) for name in NAMES}
    return [
        NameFacet(name, [NamedValue(value, None, is_chosen=True) for value in values])
        for name, values in chosen.items()
        if values
    ]


class _Found:
    def __init__(self) -> None:
        self.rows = 0
        self.values = 0
        self.counts: dict[str, int] = {}

    def facet(self, name: str, chosen: Sequence[str]) -> NameFacet | None:
        # A value that all rows have is no choice.
        if not chosen and not any(number < self.rows for number in self.counts.values()):
            return None
        is_exact = self.rows <= MAX_COUNTED_ROWS
        # A chosen value is offered even if no row has it, so that a click removes it.
        counts = {**self.counts, **{value: 0 for value in chosen if value not in self.counts}}
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        values = [NamedValue(value, number if is_exact else None, value in chosen) for value, number in ordered]
        return NameFacet(name, values, self.values - len(self.counts))


def _chosen(wanted: TraceFilter, name: str) -> tuple[str, ...]:
    chosen: tuple[str, ...] = getattr(wanted.traffic_filter, name)
    return chosen


def _statement(wanted: TraceFilter, matching: Callable[[TraceFilter], QuerySet[Any]]) -> tuple[str, list[Any]]:
    tables: list[str] = []
    counts: list[str] = []
    of_tables: list[Any] = []
    of_counts: list[Any] = []
    for table, names in _groups(wanted):
        without = wanted.traffic_filter.model_copy(update=dict.fromkeys(names, ()))
        rows = matching(replace(wanted, traffic_filter=without))
        source = _TRACES if rows.model is Trace else _SESSIONS
        sql, parameters = rows.values_list(*source.columns)[: MAX_COUNTED_ROWS + 1].query.sql_with_params()
        columns = ", ".join(f'"{column}"' for column in source.columns)
        tables.append(source.tables.format(table=table, columns=columns, rows=sql))
        of_tables += parameters
        for name in names:
            counts.append(_COUNT.format(name=name, table=table, values=source.values[name].format(table=table)))
            of_counts += [MAX_VALUES, list(_chosen(wanted, name))]
    return f"WITH {', '.join(tables)} {' UNION ALL '.join(counts)}", [*of_tables, *of_counts]


def _groups(wanted: TraceFilter) -> Iterator[tuple[str, Sequence[str]]]:
    """Tables of rows, with the names that are counted in each: those with chosen values have one of their own."""
    chosen = [name for name in NAMES if _chosen(wanted, name)]
    if others := [name for name in NAMES if name not in chosen]:
        yield "matched", others
    for name in chosen:
        yield f"matched_{name}", [name]


_COUNT = """
    SELECT '{name}', NULL, count(*), 0 FROM {table}
    UNION ALL SELECT '{name}', value, number, values FROM (
        SELECT value, count(*) AS number, count(*) OVER () AS values,
            row_number() OVER (ORDER BY count(*) DESC, value) AS place
        FROM ({values}) AS named WHERE value <> '' GROUP BY value
    ) AS counted WHERE place <= %s OR value = ANY(%s)
"""


@dataclass(frozen=True, slots=True)
class _Source:
    """`values`: by name, a query in which a row has each of its values once."""

    columns: Sequence[str]
    tables: str
    values: Mapping[str, str]


_TRACES = _Source(
    ("id", "environment", "service", "user", "model_names"),
    "{table} ({columns}) AS MATERIALIZED ({rows})",
    {
        "environment": "SELECT environment AS value FROM {table}",
        "service": "SELECT service AS value FROM {table}",
        "user": 'SELECT "user" AS value FROM {table}',
        "model": "SELECT unnest(model_names) AS value FROM {table}",
    },
)
_SESSIONS = _Source(
    ("id", "user"),
    """{table} ({columns}) AS MATERIALIZED ({rows}), {table}_traces AS MATERIALIZED (
        SELECT DISTINCT s.id, t.environment, t.service, t.model_names
        FROM {table} AS s JOIN traces_trace AS t ON t.session_id = s.id
    )""",
    {
        "environment": "SELECT DISTINCT id, environment AS value FROM {table}_traces",
        "service": "SELECT DISTINCT id, service AS value FROM {table}_traces",
        "user": 'SELECT "user" AS value FROM {table}',
        "model": "SELECT DISTINCT id, unnest(model_names) AS value FROM {table}_traces",
    },
)
