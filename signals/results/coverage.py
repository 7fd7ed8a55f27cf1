"""Outcomes of matching targets by UTC day and version. The parts of a row add up to its total."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from django.db.models import Count, Sum

from catalyst.figures import Bar, stackbar
from catalyst.timerange import CUSTOM, DAY, TimeRange, bucket_start, ceil, floor, iso
from signals.judging import budget_checks, health
from signals.models import Label, Signal
from signals.models.label_rollup import Coverage

MAX_DAYS = 90
MAX_REASONS = 3
READ_FOR_REASONS = 10_000  # newest failed or skipped labels, whose reasons are counted


@dataclass(frozen=True, slots=True)
class Reason:
    """`status` is failed, skipped, or waiting if judging is held up."""

    status: str
    text: str
    count: int


@dataclass(frozen=True, slots=True)
class Row:
    """Targets of one UTC day that one version evaluated. The total has `day` None and `version` 0."""

    day: datetime | None
    version: int
    unsampled: int
    covered: Coverage
    reasons: Sequence[Reason] = ()

    @property
    def matching(self) -> int:
        return self.unsampled + self.covered.sampled

    @property
    def unlabelled(self) -> int:
        """Sampled targets without a label."""
        return self.covered.sampled - self.covered.done

    @property
    def bars(self) -> list[Bar]:
        covered = self.covered
        parts = [("Labelled", covered.done, "accent"), ("Pending", covered.waiting, "warn")]
        parts += [("Skipped", covered.skipped, "neutral"), ("Failed", covered.failed, "error")]
        return stackbar([*parts, ("Not sampled", self.unsampled, "track")])

    @property
    def query(self) -> str:
        if self.day is None:
            return ""
        return urlencode({"version": self.version, "from": iso(self.day), "to": iso(self.day + DAY)})


@dataclass(frozen=True, slots=True)
class Days:
    rows: Sequence[Row]
    total: Row

    @property
    def has_versions(self) -> bool:
        """Return whether several versions evaluated targets, maybe the same ones."""
        return len({row.version for row in self.rows}) > 1

    @property
    def with_unlabelled(self) -> list[Row]:
        """The most unlabelled first, then the newest."""
        return sorted((row for row in self.rows if row.unlabelled), key=lambda row: -row.unlabelled)

    @property
    def without_unlabelled(self) -> list[Row]:
        return [row for row in self.rows if not row.unlabelled]


def whole_days(time_range: TimeRange) -> TimeRange:
    """The UTC days that a range touches, up to the newest MAX_DAYS."""
    end = ceil(time_range.end, DAY)
    return TimeRange(CUSTOM, max(floor(time_range.start, DAY), end - MAX_DAYS * DAY), end, DAY)


def text_of_days(days: TimeRange) -> str:
    """Return for pages which days `whole_days` covers: `24 Nov to 30 Nov 2026, whole UTC days`."""
    last = days.end - DAY
    if days.start == last:
        return f"{last:%-d %b %Y}, a whole UTC day"
    return (
        f"{days.start:{'%-d %b' if days.start.year == last.year else '%-d %b %Y'}} to {last:%-d %b %Y}, whole UTC days"
    )


def by_day(signal: Signal, days: TimeRange, now: datetime) -> Days:
    """Coverage by day, in a constant number of queries."""
    published = signal.hours.within((days.start, days.end)).filter(version__is_candidate=False)
    of_hours = published.annotate(day=bucket_start("hour", days)).order_by()
    counts: dict[tuple[datetime, int], Counter[str]] = defaultdict(Counter)
    for day, version, state, count in of_hours.values_list("day", "version__number", "state").annotate(n=Sum("count")):
        counts[day, version][state] += count
    reasons = _reasons(signal, days)
    for (day, version), words in _held_up(signal, counts, now):
        reasons[day, version].insert(0, Reason("waiting", words, counts[day, version]["waiting"]))
    ordered = sorted(counts.items(), reverse=True)
    rows = [
        _row(day, version, states, reasons[day, version]) for (day, version), states in ordered if any(states.values())
    ]
    return Days(rows, _row(None, 0, sum((states for _, states in ordered), Counter())))


def _held_up(
    signal: Signal, counts: Mapping[tuple[datetime, int], Mapping[str, int]], now: datetime
) -> Iterator[tuple[tuple[datetime, int], str]]:
    # Days and versions whose labels are held back by a daily limit or an unavailable judge.
    waiting = [key for key, states in counts.items() if states["waiting"]]
    versions = signal.versions.filter(number__in={version for _, version in waiting})
    silences = health.unavailable_judges(versions) if waiting else {}
    words = {version.number: silences[version.pk].text for version in versions if version.pk in silences}
    caps = budget_checks.caps_reached(versions, now) if waiting else {}
    words |= {each.number: f"{caps[each.pk].title}: {caps[each.pk].text}" for each in versions if each.pk in caps}
    return ((key, words[key[1]]) for key in waiting if key[1] in words)


def _row(day: datetime | None, version: int, states: Mapping[str, int], reasons: Iterable[Reason] = ()) -> Row:
    labels = {state: count for state, count in states.items() if state != "unsampled"}
    return Row(day, version, states.get("unsampled", 0), Coverage(**labels), list(reasons)[:MAX_REASONS])


def _reasons(signal: Signal, days: TimeRange) -> Mapping[tuple[datetime, int], list[Reason]]:
    published = signal.label_set.within(days).filter(version__is_candidate=False)
    ended = published.filter(status__in=[Label.Status.FAILED, Label.Status.SKIPPED])
    newest = ended.order_by("-target_time", "-id")[:READ_FOR_REASONS].values("pk")
    same = Label.objects.filter(pk__in=newest).annotate(day=bucket_start("target_time", days)).order_by()
    found: dict[tuple[datetime, int], list[Reason]] = defaultdict(list)
    rows = same.values_list("day", "version__number", "status", "error").annotate(n=Count("pk"))
    for day, version, status, words, count in rows.order_by("-n", "error"):
        found[day, version].append(Reason(status, words, count))
    return found
