"""Headline rates of an agent's signals, compared with the previous period."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from catalyst import formats
from catalyst.figures import TimeAxis, nice_ceiling, sparkline, time_axis
from catalyst.timerange import TimeRange
from signals.judging.health import unavailable_judges
from signals.models import Signal
from signals.results.charts import Outcome
from signals.results.rollups import CountsByBucket, FailuresAndCost, sums
from signals.results.summaries import Summary, shares_by_start, summed_up
from traces.usage import share_trend

MAX_TICKS = 4
WORSE = {"negative": 1, "positive": -1}


@dataclass(frozen=True, slots=True)
class Change:
    """The change of a share. `tone` is empty unless the change is significant."""

    text: str = ""
    tone: str = ""
    was: str = ""


@dataclass(frozen=True, slots=True)
class Rate:
    """The headline label of one signal.

    `lines` are drawn on 100 by 100, from 0 to `top` percent, with gaps. `summary` covers all labels of the range.
    `failed` and `cost` are sparklines from zero, empty if there is nothing to draw.
    """

    signal: Signal
    outcome: Outcome
    change: Change
    summary: Summary
    top: int
    lines: list[str]
    failed: list[str]
    cost: list[str]
    axis: TimeAxis | None


def rates(signals: Sequence[Signal], time_range: TimeRange, now: datetime) -> list[Rate]:
    """Signals that got worse first, then those with most labels. Six queries in all."""
    since = time_range.prior_start(now)
    of_all = sums(signal__in=signals)
    summaries, counts = summed_up(signals, of_all.totals(time_range)), of_all.over_time(time_range)
    trouble = of_all.trouble_over_time(time_range)
    before = summed_up(signals, of_all.totals(replace(time_range, start=since, end=time_range.start)))
    silent = unavailable_judges(signal.current_version for signal in signals if signal.current_version)
    found = []
    for signal, each, earlier in zip(signals, summaries, before, strict=True):
        summary = replace(each, judge_unavailable=silent.get(signal.current_version_id))
        was = earlier if _is_old(signal, since) else None
        bars = trouble.get(signal.pk, {})
        if rate := _rate(summary, was, counts[signal.pk], bars, time_range):
            found.append(rate)
    return sorted(found, key=lambda rate: (rate.change.tone != "bad", -rate.outcome.total, rate.signal.name))


def _rate(
    summary: Summary,
    was: Summary | None,
    counts: CountsByBucket,
    bars: Mapping[datetime, FailuresAndCost],
    time_range: TimeRange,
) -> Rate | None:
    outcome = summary.headline
    if outcome is None:
        return None
    starts = time_range.buckets()
    shares = shares_by_start(counts, starts)(outcome.value)
    top = nice_ceiling(max((share for share in shares if share is not None), default=0))
    change = _change(was, summary, outcome) if was else Change()
    lines = sparkline(shares, 100, 100, top)
    troubles = [bars.get(start, FailuresAndCost()) for start in starts]
    failed, cost = _spark([each.failed for each in troubles]), _spark([float(each.cost) for each in troubles])
    return Rate(summary.signal, outcome, change, summary, top, lines, failed, cost, _axis(starts))


def _axis(starts: Sequence[datetime]) -> TimeAxis | None:
    # The line begins in the first bar and ends in the last.
    return time_axis(starts, starts[-1], MAX_TICKS) if len(starts) > 1 else None


def _spark(values: Sequence[float]) -> list[str]:
    return sparkline(values, top=max(values)) if any(values) else []


def _is_old(signal: Signal, since: datetime) -> bool:
    # The signal judged all of the previous period: half of one can't be compared.
    activated = signal.activated_at
    return activated is not None and max(activated, signal.agent.first_seen_at) <= since


def _change(earlier: Summary, summary: Summary, outcome: Outcome) -> Change:
    before = sum(each.count for each in earlier.outcomes if each.value == outcome.value), earlier.labelled
    # Versions judge differently, so shares of several are not compared.
    if not (before[1] and outcome.total) or len({*earlier.versions, *summary.versions}) > 1:
        return Change()
    points, was = outcome.share - 100 * before[0] / before[1], formats.percent(*before)
    if abs(points) < 0.05:
        return Change("as before", "", was)
    rose = share_trend(before, (outcome.count, outcome.total))
    tone = {1: "bad", -1: "good", 0: ""}[rose * WORSE.get(outcome.color_class, 0)]
    return Change(f"{'up' if points > 0 else 'down'} {abs(points):.1f} points", tone, was)
