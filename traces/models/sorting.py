"""The columns by which lists are sorted, and how far lists of traces and sessions are."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Case, DecimalField, F, Func, Q, QuerySet, Value, When
from django.db.models.expressions import Combinable

from catalyst.pagination import TIME, Sort

# No index has these columns, so only so many rows are sorted by them.
MAX_SORTED = 100_000
_AMOUNT = DecimalField(max_digits=28, decimal_places=9)
_TOKENS = F("input_tokens") + F("output_tokens")
_SECONDS = Func(F("end_time") - F("start_time"), template="EXTRACT(EPOCH FROM %(expressions)s)", output_field=_AMOUNT)
TRACE_COLUMNS: Mapping[str, Combinable] = {"duration": F("duration_us"), "tokens": _TOKENS, "cost": F("cost")}
SESSION_COLUMNS: Mapping[str, Combinable] = {
    "turns": F("trace_count"),
    "errors": F("error_trace_count"),
    "duration": _SECONDS,
    "tokens": _TOKENS,
    "cost": F("cost"),
}
TRACE_SORTS = (TIME, *TRACE_COLUMNS)
SESSION_SORTS = (TIME, *SESSION_COLUMNS)
AGENT_SORTS = ("name", "runs", "errors", "p50", "p95", "tokens", "cost", "first", "last")
TOOL_SORTS = ("name", "calls", "errors", "p50", "p95")
MODEL_SORTS = (*TOOL_SORTS, "tokens", "cost")


def value(columns: Mapping[str, Combinable], sort: Sort, by: str) -> Combinable:
    """What a list is sorted by, its time being `by`. Rows without a known cost come last, whichever way."""
    if sort.is_by_time:
        return F(by)
    if sort.key != "cost":
        return columns[sort.key]
    last = Value(Decimal(-1 if sort.is_descending else 10**17))
    return Case(When(cost=0, unpriced_count__gt=0, then=last), default=columns[sort.key], output_field=_AMOUNT)


def reach[Rows: QuerySet[Any]](rows: Rows, sort: Sort, by: str) -> tuple[Rows, datetime | None]:
    """The rows that are sorted, and since when if older ones are left out."""
    if sort.is_by_time:
        return rows, None
    # With the one behind: without it, none is left out.
    ends = list(rows.order_by(f"-{by}", "-id").values_list(by, "id")[MAX_SORTED - 1 : MAX_SORTED + 1])
    if len(ends) < 2:
        return rows, None
    since, pk = ends[0]
    return rows.filter(Q(**{f"{by}__gt": since}) | Q(id__gte=pk), **{f"{by}__gte": since}), since
