"""Labels of one signal: as pages, as an export, and as neighbors in a list."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from operator import attrgetter
from urllib.parse import urlencode

import orjson
from django.db.models import Q

from catalyst import timerange
from catalyst.core.actor import Actor
from catalyst.core.audit import record
from catalyst.core.models import Project
from catalyst.csv_lines import csv_line
from catalyst.pagination import Cursor
from catalyst.params import is_id
from catalyst.timerange import HOUR, TimeRange, floor, iso
from signals.filters import Counted, LabelFilter, LabelFilterForm
from signals.models import Label, Signal
from signals.models.label import LabelQuerySet
from signals.results import rows
from signals.results.rows import LabelRow
from traces.label_sources import LabelNavigation

SEARCHED = 10_000  # labels that one page searches for a text, so that it takes limited time
BATCH = 1_000
# The query parameter that names the label whose target a page shows. The filter of its list is beside it.
AT = "at"


@dataclass(frozen=True, slots=True)
class ExportedLabel:
    label: str
    reason: str
    status: str
    error: str
    scope: str
    target: str
    target_time: str
    preview: str
    version: int
    run: int | None
    labelled_at: str | None
    judge: str
    cost_usd: str | None


COLUMNS = tuple(field.name for field in fields(ExportedLabel))
_cells = attrgetter(*COLUMNS)


@dataclass(frozen=True, slots=True)
class Page:
    """Labels and the cursor of the next page, or None. A page of a text search may be empty."""

    labels: list[Label]
    more: Cursor | None


def page(signal: Signal, wanted: LabelFilter, time_range: TimeRange, after: Cursor | None, most: int) -> Page:
    """Up to `most` labels that pass the filter, newest targets first, from behind `after`."""
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
    # Labels that pass all but the text, without those too old for this page.
    found = _listed(signal, wanted, time_range)
    if wanted.counted is not None or (not wanted.status and wanted.version is None and wanted.run is None):
        return found
    end = min(after.time, time_range.end) if after else time_range.end
    # Hourly counts limit how far back to search, so that a rare label is not searched among a million.
    hours = signal.hours.matching(wanted).filter(hour__gte=floor(time_range.start, HOUR))
    reach = hours.reach(SEARCHED if wanted.text else most + 1, end)
    return None if reach is None else found.filter(target_time__gte=reach)


def _listed(signal: Signal, wanted: LabelFilter, time_range: TimeRange) -> LabelQuerySet:
    labels = signal.label_set if wanted.counted is not None else signal.label_set.within(time_range)
    return labels.matching(replace(wanted, text=""))


def navigation(project: Project, params: Mapping[str, str], now: datetime) -> LabelNavigation | None:
    """Returns None if `params` names no label."""
    label = _at(project, params.get(AT, ""))
    if label is None:
        return None
    wanted, time_range = LabelFilterForm(params).label_filter, timerange.parse(params, now)
    older = page(label.signal, wanted, time_range, Cursor(label.target_time, label.pk), 1).labels
    beyond = Q(target_time__gt=label.target_time) | Q(target_time=label.target_time, pk__gt=label.pk)
    since = _listed(label.signal, wanted, time_range).filter(beyond)
    nearest = since.order_by("target_time", "id")
    if wanted.text:
        nearest = Label.objects.filter(pk__in=nearest.values("pk")[:SEARCHED], reason__icontains=wanted.text)
    newer = list(nearest.order_by("target_time", "id").for_list()[:1])
    kept = {name: value for name, value in params.items() if name in FILTERS}
    here = rows.load_rows(project, label.scope, [label])[0]
    return LabelNavigation(
        name=label.signal.name,
        value=label.value,
        tone=here.tone,
        reason=label.reason,
        back=f"{label.signal.get_absolute_url()}?{urlencode(kept)}",
        before=_href(project, newer, kept),
        after=_href(project, older, kept),
    )


FILTERS = ("label", "status", "version", "run", "q", "settled", "judged", "range", "from", "to")


def _at(project: Project, pk: str) -> Label | None:
    if not is_id(pk):
        return None
    return Label.objects.filter(project=project, pk=pk).select_related("signal__project", "version").first()


def _href(project: Project, found: list[Label], kept: Mapping[str, str]) -> str:
    if not found:
        return ""
    row = rows.load_rows(project, found[0].scope, found)[0]
    return href_in_list(row, kept)


def href_in_list(row: LabelRow, kept: Mapping[str, str]) -> str:
    """The URL of the row's target and its list. Empty if the target has expired."""
    if not row.href:
        return ""
    query = urlencode({**{name: kept[name] for name in FILTERS if name in kept}, AT: row.label.pk})
    return f"{row.href}{'&' if '?' in row.href else '?'}{query}"


def record_export(signal: Signal, window: TimeRange | Counted, by: Actor) -> None:
    settled = "settled " if isinstance(window, Counted) else ""
    detail = f"{settled}from {iso(window.start)} to {iso(window.end)} UTC"
    record(by, "exported labels of", signal, detail=detail)


def exported(
    project: Project, signal: Signal, wanted: LabelFilter, time_range: TimeRange, kind: str, by: Actor
) -> Iterator[bytes]:
    """All labels that pass as lines of `kind`, csv or jsonl, one batch at a time. Recorded when the first is read."""
    record_export(signal, wanted.counted or time_range, by)
    if kind == "csv":
        yield csv_line(COLUMNS).encode()
    after: Cursor | None = None
    while True:
        found = page(signal, wanted, time_range, after, BATCH)
        shown = exported_rows(project, signal, found.labels)
        if kind == "csv":
            yield "".join(csv_line(_cells(row)) for row in shown).encode()
        else:
            yield b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in shown)
        if found.more is None:
            return
        after = found.more


def exported_rows(project: Project, signal: Signal, labels: Sequence[Label]) -> list[ExportedLabel]:
    return [_exported(row) for row in rows.load_rows(project, signal.scope, labels)]


def _exported(row: LabelRow) -> ExportedLabel:
    label = row.label
    return ExportedLabel(
        label=label.value,
        reason=label.reason,
        status=label.status,
        error=label.error,
        scope=label.scope,
        target=label.target_key,
        target_time=label.target_time.isoformat(),
        preview=row.title,
        version=label.version.number,
        run=label.run_id,
        labelled_at=label.labelled_at.isoformat() if label.labelled_at else None,
        judge=label.judge,
        cost_usd=None if label.cost is None else f"{label.cost:f}",
    )
