"""Comparison of the labels of two versions of a signal."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from django.db import connection

from catalyst.confidence import wilson
from catalyst.pagination import Cursor
from catalyst.timerange import TimeRange
from signals.models import Label, Signal, SignalVersion
from signals.results import charts, versions
from signals.results.charts import Outcome
from signals.results.rows import LabelRow, load_rows

# The newest labels of the version with fewer labels, which are looked up in the other version.
MAX_SHARED_TARGETS = 20_000
PAGE = 50
# Number of targets by label of a and label of b.
Moves = dict[tuple[str, str], int]


@dataclass(frozen=True, slots=True)
class Pair:
    """Versions `a` and `b`, with their counts of labels by value in a time range."""

    signal: Signal
    a: SignalVersion
    b: SignalVersion
    time_range: TimeRange
    counts: tuple[dict[str, int], dict[str, int]]

    @property
    def from_b(self) -> bool:
        # The query starts from the version with fewer labels.
        return sum(self.counts[1].values()) < sum(self.counts[0].values())

    @property
    def is_cut(self) -> bool:
        """True if only the newest targets are compared."""
        return min(sum(counts.values()) for counts in self.counts) > MAX_SHARED_TARGETS

    @property
    def most(self) -> int:
        """The cap on compared targets."""
        return MAX_SHARED_TARGETS


@dataclass(frozen=True, slots=True)
class Shares:
    """The share of one label in each version. None if the version has no such label."""

    value: str
    a: Outcome | None
    b: Outcome | None


@dataclass(frozen=True, slots=True)
class Agreement:
    """Counts of targets that both versions judged, by the label of version a and the label of version b."""

    moves: Moves
    befores: list[Outcome]
    afters: list[Outcome]

    @property
    def total(self) -> int:
        return sum(self.moves.values())

    @property
    def same(self) -> int:
        return sum(count for (before, after), count in self.moves.items() if before == after)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of the agreement, in percent."""
        low, high = wilson(self.same, self.total)
        return 100 * low, 100 * high

    @property
    def table(self) -> list[tuple[Outcome, list[tuple[str, int]]]]:
        return [
            (before, [(after.value, self.moves.get((before.value, after.value), 0)) for after in self.afters])
            for before in self.befores
        ]


@dataclass(frozen=True, slots=True)
class Flip:
    before: LabelRow
    after: LabelRow


def pair(signal: Signal, a: SignalVersion, b: SignalVersion, time_range: TimeRange) -> Pair:
    found = versions.summaries_of(signal, [a, b], time_range)
    first, second = ({each.value: each.count for each in found[version.pk].outcomes} for version in (a, b))
    return Pair(signal, a, b, time_range, (first, second))


def shares(both: Pair, a: Mapping[str, int], b: Mapping[str, int]) -> list[Shares]:
    values = dict.fromkeys([*both.b.labels, *both.a.labels])
    sentiments = {value: (both.a.sentiments | both.b.sentiments)[value] for value in values}
    before, after = ({each.value: each for each in charts.outcomes(sentiments, counts)} for counts in (a, b))
    return [
        Shares(
            value,
            before[value] if value in both.a.labels else None,
            after[value] if value in both.b.labels else None,
        )
        for value in values
    ]


def agreement(both: Pair) -> Agreement:
    swap = -1 if both.from_b else 1
    moves: Moves = {}
    with connection.cursor() as cursor:
        cursor.execute(_MOVES, _asked(both))
        for *values, count in cursor.fetchall():
            before, after = values[::swap]
            moves[before, after] = count
    befores, afters = (
        versions.outcomes_of(version, counts)
        for version, counts in zip((both.a, both.b), marginals(moves), strict=True)
    )
    return Agreement(moves, befores, afters)


def marginals(moves: Moves) -> tuple[dict[str, int], dict[str, int]]:
    before: dict[str, int] = {}
    after: dict[str, int] = {}
    for (was, became), count in moves.items():
        before[was] = before.get(was, 0) + count
        after[became] = after.get(became, 0) + count
    return before, after


def flips(both: Pair, moved: tuple[str, str] | None, after: Cursor | None) -> tuple[list[Flip], Cursor | None]:
    """A page of targets whose labels differ, newest first, and the next cursor. `moved`: (label of a, label of b)."""
    found = _flipped(both, moved, after)
    labels = Label.objects.filter(signal=both.signal).select_related("version").in_bulk(list(chain(*found[:PAGE])))
    shown = [(labels[a], labels[b]) for a, b in found[:PAGE] if a in labels and b in labels]
    rows = load_rows(both.signal.project, both.signal.scope, [a for a, _ in shown])
    flipped = [Flip(row, replace(row, label=b)) for row, (_, b) in zip(rows, shown, strict=True)]
    if len(found) <= PAGE or not shown:
        return flipped, None
    last = shown[-1][1 if both.from_b else 0]
    return flipped, Cursor(last.target_time, last.pk)


def _flipped(both: Pair, moved: tuple[str, str] | None, after: Cursor | None) -> list[tuple[int, int]]:
    # Ids of the labels of a and b. One pair more than a page shows that there is a next page.
    swap = -1 if both.from_b else 1
    was, became = moved[::swap] if moved else (None, None)
    time, pk = (after.time, after.id) if after else (None, None)
    with connection.cursor() as cursor:
        cursor.execute(_FLIPS, [*_asked(both), was, was, became, time, time, pk, PAGE + 1])
        return [row[::swap] for row in cursor.fetchall()]


def _asked(both: Pair) -> list[Any]:
    # The parameters of `_SHARED`.
    fewer, other = (both.b, both.a) if both.from_b else (both.a, both.b)
    time_range = both.time_range
    return [both.signal.pk, fewer.pk, time_range.start, time_range.end, MAX_SHARED_TARGETS, other.pk]


_SHARED = """
    WITH few AS (
        SELECT id, target_key, target_time, value FROM signals_label
        WHERE signal_id = %s AND version_id = %s AND value <> '' AND target_time >= %s AND target_time < %s
        ORDER BY target_time DESC, id DESC LIMIT %s
    ), shared AS (
        SELECT few.id, few.target_time, few.value, other.id AS other_id, other.value AS other_value
        FROM few JOIN signals_label other
            ON other.version_id = %s AND other.target_key = few.target_key AND other.value <> ''
    )
"""
_MOVES = f"{_SHARED} SELECT value, other_value, count(*) FROM shared GROUP BY 1, 2"
_FLIPS = f"""{_SHARED}
    SELECT id, other_id FROM shared
    WHERE value <> other_value
        AND (%s::text IS NULL OR (value, other_value) = (%s, %s))
        AND (%s::timestamptz IS NULL OR (target_time, id) < (%s, %s))
    ORDER BY target_time DESC, id DESC LIMIT %s
"""
