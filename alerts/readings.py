"""From counts to readings: what the state machine gets of each window."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from alerts.choices import Metric
from alerts.counts import Part, Source, Watched
from alerts.measures import Counts, Measure
from alerts.rules import Problem, Reading
from catalyst.timerange import HOUR, MINUTE, floor

# Targets settle when the transaction begins that settles them. It commits within seconds, and nobody sees them before.
# So a window is looked at so long after its end.
COMMITTED_AFTER = timedelta(seconds=15)
# A window is evaluated once all of its labels are judged, at the latest after this.
PATIENCE = 15 * MINUTE

TOO_FEW = "There are too few {} to tell."
NO_PRICE = "No model call has a known price."
WAITING = "The judge has not labelled enough of what settled."
NOTHING = Counts()
NO_VERSION = "The signal had no version then."


@dataclass(frozen=True, slots=True)
class Read:
    """A reading with the counts behind it, for people. `before`: of the window before, if they are compared.

    `reason`: the problem in words, or what the value leaves out.
    """

    reading: Reading
    part: Part | None = None
    counts: Counts = NOTHING
    before: Counts | None = None
    reason: str = ""

    def before_value(self, measure: Measure) -> float | None:
        """The amount of the window before, if they are compared and it is known."""
        return measure.amount(self.before) if self.before is not None else None


def ready(watch: Watched, ends: Iterable[datetime], waiting: Sequence[datetime], now: datetime) -> list[datetime]:
    """Those ends that can be evaluated: up to the first with a label that still waits, unless patience has ended."""
    found = []
    for end in ends:
        if now - end < PATIENCE and any(watch.begin(end) <= minute < end for minute in waiting):
            break
        found.append(end)
    return found


def newest_end(measure: Measure, now: datetime) -> datetime:
    """The end of the newest window. Hours of an agent's numbers are looked at when their traces have arrived."""
    return floor(now - PATIENCE, HOUR) if measure.is_hourly else newest_minute(now)


def newest_minute(now: datetime) -> datetime:
    """The end of the newest window of those that end at whole minutes."""
    return floor(now - COMMITTED_AFTER, MINUTE)


def read(watch: Watched, end: datetime, source: Source, *, counts_waiting: bool = True) -> Read:
    """The reading of the window that ends at `end`. Without `counts_waiting` labels that wait are passed over."""
    part = watch.part_at(end)
    if watch.invalid:
        return _problem(end, Problem.INVALID, watch.invalid, part)
    if part is None:
        return _problem(end, Problem.NO_DATA, NO_VERSION, part)
    if reason := watch.paused or watch.missing_part(part, end):
        return _problem(end, Problem.NO_DATA, reason, part)
    measure = watch.measure
    start = end - measure.window
    counts = source.counts(part.version_id, start, end)
    before = source.counts(part.version_id, watch.begin(end), start) if measure.compares else None
    if counts_waiting and measure.waits_for_more(counts, before):
        return Read(Reading(end, problem=Problem.DELAYED), part, counts, before, WAITING)
    value = measure.value(counts, before)
    if value is None:
        return Read(Reading(end, problem=Problem.NO_DATA), part, counts, before, _unknown(measure, counts, before))
    reading = Reading(end, value=value, is_significant=measure.significance(counts, before))
    return Read(reading, part, counts, before, _left_out(counts))


def _unknown(measure: Measure, counts: Counts, before: Counts | None) -> str:
    has_enough = measure.has_enough(counts, before)
    return NO_PRICE if has_enough and measure.metric == Metric.COST else TOO_FEW.format(measure.metric.noun)


def _left_out(counts: Counts) -> str:
    if not counts.unpriced:
        return ""
    calls = "1 model call has" if counts.unpriced == 1 else f"{counts.unpriced:,} model calls have"
    return f"{calls} no known price and {'is' if counts.unpriced == 1 else 'are'} not in the cost."


def _problem(end: datetime, problem: Problem, reason: str, part: Part | None) -> Read:
    return Read(Reading(end, problem=problem), part, reason=reason)
