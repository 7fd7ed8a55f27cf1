"""The numbers of an agent, compared with the period before."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from catalyst import formats
from traces.usage import Runs, Usage, percentile, percentile_trend, share_trend

# Above this, show a factor instead of a percentage.
MANY_TIMES = 10
MINUS, TIMES = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"
# Less is a rounding error.
MIN_SPLIT = Decimal("0.00001")


@dataclass(frozen=True, slots=True)
class Change:
    """The difference to the period before. `tone` is good or bad only if it is significant."""

    text: str = ""
    short: str = ""
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Stat:
    """`value` is empty if it is unknown."""

    name: str
    value: str
    note: str = ""
    change: Change = Change()

    @property
    def title(self) -> str:
        return ", ".join(filter(None, (self.note, self.change.text)))


type Stats = Mapping[str, Stat]


def stats(now: Runs, before: Runs) -> Stats:
    """Numbers by name. Without runs before, no changes."""
    return {**_outcomes(now, before), **_latencies(now, before), **_tokens(now, before), **_costs(now, before)}


def _outcomes(now: Runs, before: Runs) -> Stats:
    new, old = now.usage, before.usage
    runs = new.trace_count

    def of_runs(name: str, part: Callable[[Usage], int], worse: int) -> Stat:
        change = _share_change((part(old), old.trace_count), (part(new), runs), worse)
        return Stat(name, f"{part(new):,}", f"{formats.percent(part(new), runs)} of runs", change)

    errors = of_runs("with errors", lambda usage: usage.error_trace_count, 1)
    return {
        "runs": Stat("Runs", f"{runs:,}", "", _change(runs, old.trace_count, formats.short)),
        "ok": of_runs("OK", lambda usage: usage.trace_count - usage.error_trace_count, -1),
        "error": of_runs("Error", lambda usage: usage.error_trace_count, 1),
        "success": of_runs("success", lambda usage: usage.success_count, -1),
        "failure": of_runs("failure", lambda usage: usage.failure_count, 1),
        "unknown": of_runs("unknown", lambda usage: usage.unknown_count, 0),
        "errors": Stat("with errors", f"{errors.value} of {runs:,} runs"),
        "error rate": Stat("Error rate", formats.percent(new.error_trace_count, runs), "", errors.change),
    }


def _latencies(now: Runs, before: Runs) -> Stats:
    latencies = {}
    for name, share in (("p50", 0.5), ("p95", 0.95)):
        value, old = percentile(now.latencies, share), percentile(before.latencies, share)
        tone = {1: "bad", -1: "good", 0: ""}[percentile_trend(before.latencies, now.latencies, share)]
        change = _change(value or 0, old, formats.about, tone) if old is not None else Change()
        latencies[name] = Stat(name, formats.about(value), "", change)
    return latencies


def _tokens(now: Runs, before: Runs) -> Stats:
    new, old = now.usage, before.usage

    def stat(name: str, part: Callable[[Usage], int], note: str = "") -> Stat:
        return Stat(
            name, formats.short(part(new)) if part(new) else "", note, _change(part(new), part(old), formats.short)
        )

    cached = f"{formats.percent(new.cached_tokens, new.input_tokens)} of those in" if new.cached_tokens else ""
    return {
        "tokens": stat("Tokens", lambda usage: usage.total_tokens),
        "in": stat("in", lambda usage: usage.input_tokens),
        "cached": stat("cached", lambda usage: usage.cached_tokens, cached),
        "out": stat("out", lambda usage: usage.output_tokens),
    }


def _costs(now: Runs, before: Runs) -> Stats:
    new, old = now.usage, before.usage

    def stat(name: str, part: Callable[[Usage], Decimal]) -> Stat:
        change = _change(float(part(new)), float(part(old)), formats.usd)
        share = f"{formats.percent(float(part(new)), float(new.cost))} of the cost" if new.cost else ""
        return Stat(name, formats.usd(part(new)) if new.cost else "", share, change)

    unpriced = _change(new.unpriced_count, old.unpriced_count, formats.short)
    calls = f"no price for {_model_calls(new.unpriced_count)}" if new.unpriced_count else ""
    total = stat("Cost", lambda usage: usage.cost)
    return {
        "cost": Stat("Cost", formats.spent(new), "of priced calls" if new.unpriced_count else "", total.change),
        "input cost": stat("in", lambda usage: usage.input_cost),
        "cache cost": stat("cache", lambda usage: usage.cache_cost),
        "output cost": stat("out", lambda usage: usage.output_cost),
        "unsplit cost": stat("not split", unsplit),
        "unpriced": Stat("", calls, "", unpriced),
    }


def _model_calls(count: int) -> str:
    return f"{count:,} model call{'' if count == 1 else 's'}"


def unsplit(usage: Usage) -> Decimal:
    """The cost that no part explains; 0 for rounding errors."""
    rest = usage.cost - usage.input_cost - usage.cache_cost - usage.output_cost
    return rest if rest >= MIN_SPLIT else Decimal(0)


def _change(new: float, old: float, format_value: Callable[[float], str], tone: str = "") -> Change:
    if not old:
        return Change()
    percent = 100 * abs(new - old) / old
    if percent < 0.05:
        return Change(f"as before, {format_value(old)}", "±0")
    if new > MANY_TIMES * old:
        return Change(f"{new / old:,.0f} times {format_value(old)}", f"{TIMES}{new / old:,.0f}", tone)
    amount = f"{percent:.0f}%" if percent >= 10 else f"{percent:.1f}%"
    direction, sign = ("up", "+") if new > old else ("down", MINUS)
    return Change(f"{direction} {amount} from {format_value(old)}", f"{sign}{amount}", tone)


def _share_change(old: tuple[int, int], new: tuple[int, int], worse: int) -> Change:
    if not old[1]:
        return Change()
    points = 100 * new[0] / new[1] - 100 * old[0] / old[1]
    was = formats.percent(*old)
    if abs(points) < 0.05:
        return Change(f"as before, {was}", "±0")
    # `worse`: 1 if a rise is bad, -1 if a fall is, 0 if neither.
    tone = {1: "bad", -1: "good", 0: ""}[share_trend(old, new) * worse]
    amount = f"{abs(points):.1f}"
    direction, sign = ("up", "+") if points > 0 else ("down", MINUS)
    return Change(f"{direction} {amount} points from {was}", f"{sign}{amount} points", tone)
