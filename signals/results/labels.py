"""The labels of one signal as a list: page by page, as a file, and from one to the next."""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import urlencode

import orjson
from django.db.models import Q

from catalyst import timerange
from catalyst.core.models import Project
from catalyst.params import is_id
from catalyst.querysets import Cursor
from catalyst.timerange import HOUR, TimeRange, floor
from signals import filters
from signals.filters import LabelFilter
from signals.models import Label, Signal
from signals.models.label import LabelQuerySet
from signals.results import rows
from signals.results.rows import LabelRow
from traces.label_sources import LabelNavigation

SEARCHED = 10_000
"""Labels that one page looks for a text in."""
BATCH = 1_000
AT = "at"
"""The query parameter that names the label whose target a page shows, beside the filter of the list it is from."""
COLUMNS = (
    *("label", "reason", "status", "error", "scope", "target", "target_time", "preview", "version", "run"),
    *("labelled_at", "judge", "cost_usd"),
)


@dataclass(frozen=True, slots=True)
class Page:
    """Some labels, and from behind where the list goes on; None at its end. Of a text search it may hold none."""

    labels: list[Label]
    more: Cursor | None


def page(signal: Signal, wanted: LabelFilter, time_range: TimeRange, after: Cursor | None, most: int) -> Page:
    """Labels of the range that pass a filter, the newest targets first, from behind `after`; at most so many.

    The hours tell how far back to look, so that a filter which few pass does not search a million labels. A text is
    looked for in as many labels as one page may take time for.
    """
    found = _within_reach(signal, wanted, time_range, after, most)
    if found is None:
        return Page([], None)
    end = None
    if wanted.text:
        last = found.newest(after).values_list("target_time", "pk")[SEARCHED - 1 : SEARCHED]
        end = next((Cursor(*each) for each in last), None)
        if end:
            not_behind = Q(target_time__gt=end.time) | Q(pk__gte=end.id)
            found = found.filter(not_behind, target_time__gte=end.time)
        found = found.filter(reason__icontains=wanted.text)
    labels = list(found.newest(after).for_list()[: most + 1])
    if len(labels) > most:
        labels = labels[:most]
        end = Cursor(labels[-1].target_time, labels[-1].pk)
    return Page(labels, end)


def _within_reach(
    signal: Signal, wanted: LabelFilter, time_range: TimeRange, after: Cursor | None, most: int
) -> LabelQuerySet | None:
    """The labels that pass, but for the text; None if there is none. Without those that are too old to be on the page.

    For a text, which only some have, nothing is too old but what is older than all that pass.
    """
    found = signal.label_set.within(time_range).matching(replace(wanted, text=""))
    if not wanted.status and wanted.version is None and wanted.run is None:
        return found
    end = min(after.time, time_range.end) if after else time_range.end
    hours = signal.hours.matching(wanted).filter(hour__gte=floor(time_range.start, HOUR))
    reach = hours.reach(SEARCHED if wanted.text else most + 1, end)
    return None if reach is None else found.filter(target_time__gte=reach)


def navigation(project: Project, params: Mapping[str, str], now: datetime) -> LabelNavigation | None:
    """From the label that the query names to its neighbours in the list that it is from."""
    label = _at(project, params.get(AT, ""))
    if label is None:
        return None
    wanted, time_range = filters.label_filter(params), timerange.parse(params, now)
    older = page(label.signal, wanted, time_range, Cursor(label.target_time, label.pk), 1).labels
    beyond = Q(target_time__gt=label.target_time) | Q(target_time=label.target_time, pk__gt=label.pk)
    since = label.signal.label_set.within(time_range).matching(replace(wanted, text="")).filter(beyond)
    nearest = since.order_by("target_time", "id")
    if wanted.text:
        nearest = Label.objects.filter(pk__in=nearest.values("pk")[:SEARCHED], reason__icontains=wanted.text)
    newer = list(nearest.order_by("target_time", "id").for_list()[:1])
    kept = {name: value for name, value in params.items() if name in FILTERS}
    here = rows.load_rows(project, label.scope, [label])[0]
    return LabelNavigation(
        name=label.signal.name,
        value=label.value,
        sentiment=here.color_class,
        reason=label.reason,
        back=f"{label.signal.get_absolute_url()}?{urlencode(kept)}",
        before=_href(project, newer, kept),
        after=_href(project, older, kept),
    )


FILTERS = ("label", "status", "version", "run", "q", "range", "from", "to")


def _at(project: Project, pk: str) -> Label | None:
    if not is_id(pk):
        return None
    return Label.objects.filter(project=project, pk=pk).select_related("signal__project", "version").first()


def _href(project: Project, found: list[Label], kept: Mapping[str, str]) -> str:
    if not found:
        return ""
    row = rows.load_rows(project, found[0].scope, found)[0]
    return with_place(row, kept)


def with_place(row: LabelRow, kept: Mapping[str, str]) -> str:
    """The address of a row's target that knows which list it was opened from; empty when the target has expired."""
    if not row.href:
        return ""
    query = urlencode({**{name: kept[name] for name in FILTERS if name in kept}, AT: row.label.pk})
    return f"{row.href}{'&' if '?' in row.href else '?'}{query}"


def exported(
    project: Project, signal: Signal, wanted: LabelFilter, time_range: TimeRange, kind: str
) -> Iterator[bytes]:
    """All labels that pass, as lines of CSV or JSON (`kind`: csv or jsonl), a batch at a time."""
    if kind == "csv":
        yield _csv(COLUMNS)
    after: Cursor | None = None
    while True:
        found = page(signal, wanted, time_range, after, BATCH)
        records = [_record(row) for row in rows.load_rows(project, signal.scope, found.labels)]
        if kind == "csv":
            yield b"".join(_csv(_safe(value) for value in record.values()) for record in records)
        else:
            yield b"".join(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE) for record in records)
        if found.more is None:
            return
        after = found.more


def _record(row: LabelRow) -> dict[str, str | int | None]:
    label = row.label
    values = (
        *(label.value, label.reason, label.status, label.error, label.scope, label.target_key),
        *(label.target_time.isoformat(), row.title, label.version.number, label.run_id),
        label.labelled_at.isoformat() if label.labelled_at else None,
        label.judge,
        None if label.cost is None else f"{label.cost:f}",
    )
    return dict(zip(COLUMNS, values, strict=True))


def _safe(value: str | int | None) -> str | int | None:
    """A cell that no spreadsheet takes for a formula."""
    risky = isinstance(value, str) and value.lstrip()[:1] in {"=", "+", "-", "@"}
    return f"'{value}" if risky or (isinstance(value, str) and value[:1] in {"\t", "\r"}) else value


def _csv(cells: Iterator[str | int | None] | tuple[str, ...]) -> bytes:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue().encode()
