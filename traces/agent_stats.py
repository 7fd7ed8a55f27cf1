"""The headline numbers of an agent, each against the period before. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from catalyst import formats
from traces.usage import Runs, more_often, percentile, slower

NOTHING_BEFORE = "no runs before"
MANY_TIMES = 10
"""From here on a factor says more than a percentage."""


@dataclass(frozen=True, slots=True)
class Change:
    """How a number differs from the one before. `tone` is good or bad only where that is more than chance."""

    words: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Stat:
    """One headline number; `value` is empty while nothing is known."""

    name: str
    value: str
    note: str
    change: Change


def stats(now: Runs, before: Runs) -> list[Stat]:
    """The numbers of a period with runs."""
    return [*_outcomes(now, before), *_latencies(now, before), *_tokens(now, before), *_costs(now, before)]


def _outcomes(now: Runs, before: Runs) -> list[Stat]:
    runs, old_runs = now.usage.trace_count, before.usage.trace_count

    def of_runs(name: str, part: int, old: int, worse: int) -> Stat:
        change = _share_change((old, old_runs), (part, runs), worse)
        return Stat(name, f"{part:,}", f"{formats.percent(part, runs)} of runs", change)

    errors, old_errors = now.usage.error_trace_count, before.usage.error_trace_count
    return [
        Stat("Runs", f"{runs:,}", "", _change(runs, old_runs, formats.short)),
        of_runs("Success", now.usage.success_count, before.usage.success_count, -1),
        of_runs("Failure", now.usage.failure_count, before.usage.failure_count, 1),
        of_runs("Unknown", now.usage.unknown_count, before.usage.unknown_count, 0),
        Stat(
            "Error rate",
            formats.percent(errors, runs),
            f"{errors:,} of {runs:,} runs",
            _share_change((old_errors, old_runs), (errors, runs), 1),
        ),
    ]


def _latencies(now: Runs, before: Runs) -> list[Stat]:
    found = []
    for name, share in (("Latency p50", 0.5), ("Latency p95", 0.95)):
        value, old = percentile(now.latencies, share), percentile(before.latencies, share)
        tone = {1: "bad", -1: "good", 0: ""}[slower(before.latencies, now.latencies, share)]
        change = _change(value or 0, old, formats.duration, tone) if old is not None else Change(NOTHING_BEFORE)
        found.append(Stat(name, formats.duration(value), "within 5%", change))
    return found


def _tokens(now: Runs, before: Runs) -> list[Stat]:
    new, old = now.usage, before.usage
    cached = f"{formats.percent(new.cached_tokens, new.input_tokens)} of those in" if new.input_tokens else ""
    return [
        Stat(name, formats.short(part) if part else "", note, _change(part, past, formats.short))
        for name, part, past, note in (
            ("Tokens in", new.input_tokens, old.input_tokens, ""),
            ("Tokens out", new.output_tokens, old.output_tokens, ""),
            ("Tokens cached", new.cached_tokens, old.cached_tokens, cached),
        )
    ]


def _costs(now: Runs, before: Runs) -> list[Stat]:
    new, old = now.usage, before.usage
    unpriced = _change(new.unpriced_count, old.unpriced_count, formats.short)
    calls = f"of {new.llm_count:,} model calls"
    return [
        Stat(
            "Cost",
            formats.spent(new),
            "of priced calls" if new.unpriced_count else "",
            _change(float(new.cost), float(old.cost), formats.usd),
        ),
        Stat("Unpriced calls", f"{new.unpriced_count:,}" if new.llm_count else "", calls, unpriced),
    ]


def _change(new: float, old: float, words: Callable[[float], str], tone: str = "") -> Change:
    """How an amount differs. Amounts grow with the runs, so that is neither good nor bad unless said."""
    if not old:
        return Change("none before" if new else "")
    percent = 100 * abs(new - old) / old
    if percent < 0.05:
        return Change(f"as before, {words(old)}")
    if new > MANY_TIMES * old:
        return Change(f"{new / old:,.0f} times {words(old)}", tone)
    written = f"{percent:.0f}%" if percent >= 10 else f"{percent:.1f}%"
    return Change(f"{'up' if new > old else 'down'} {written} from {words(old)}", tone)


def _share_change(old: tuple[int, int], new: tuple[int, int], worse: int) -> Change:
    """How a share differs, in points. `worse` says which way is bad: 1 up, -1 down, 0 neither."""
    if not old[1]:
        return Change(NOTHING_BEFORE)
    points = 100 * new[0] / new[1] - 100 * old[0] / old[1]
    was = formats.percent(*old)
    if abs(points) < 0.05:
        return Change(f"as before, {was}")
    tone = {1: "bad", -1: "good", 0: ""}[more_often(old, new) * worse]
    return Change(f"{'up' if points > 0 else 'down'} {abs(points):.1f} points from {was}", tone)
