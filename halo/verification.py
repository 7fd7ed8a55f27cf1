"""Whether a fix worked: findings of a report, counted in a window after it.

Nothing is stored. It is bounded, so that a page can do it at once.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from statistics import fmean
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db.models import ExpressionWrapper, F, IntegerField, Max, Min, Q

from catalyst import formats, timerange
from catalyst.confidence import binomial_at_most, difference
from catalyst.timerange import DAY, HOUR, MINUTE
from halo import focus
from halo.analyst import reading
from halo.analyst.material import ENOUGH_RUNS, Candidate, TraceRun
from halo.analyst.ranking import ranked
from halo.analyst.report import candidates_of
from halo.analyst.statistics import mann_whitney
from halo.choices import Verdict
from halo.drafts import FindingDraft
from halo.focus import FAILED
from halo.models import Finding, Issue, Run
from traces.models.trace import TraceQuerySet

MAX_DAYS = 30
# Of each of the two windows. Reading both takes some seconds.
MAX_SPANS = 40_000
MAX_NEW = 8
# A rule needs so many runs, so one that finds nothing may have missed fewer.
RULE_RUNS = 3
MAX_TESTED = 5_000
SIGNIFICANT = 0.05
# So likely must it be to notice a fix, before no difference is called unchanged.
ENOUGH_CHANCE = 0.8
REGRESSION = "regression|"
TOKENS = ExpressionWrapper(F("input_tokens") + F("output_tokens"), output_field=IntegerField())


@dataclass(frozen=True, slots=True)
class Part:
    """A window. `end` is not in it."""

    start: datetime
    end: datetime

    @property
    def text(self) -> str:
        return timerange.short(self.start, self.end)

    @property
    def query(self) -> str:
        """Parameters of lists, which may begin up to an hour earlier."""
        return timerange.between(self.start, self.end).encoded_query

    @property
    def is_exact(self) -> bool:
        """Whether lists show exactly this window."""
        shown = timerange.between(self.start, self.end)
        return (shown.start, shown.end) == (self.start, self.end)


@dataclass(frozen=True, slots=True)
class Share:
    """Runs that show a finding. `query`: parameters of a list of traces that has exactly these, if there is one."""

    count: int
    total: int
    query: str = ""

    @property
    def percent(self) -> str:
        return formats.percent(self.count, self.total)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What became of a finding.

    `usual`: before it began, if it is about something that rose. `at_most`: the rule finds nothing any more, which it
    does from 3 runs on, so `after` is the most that it can have missed. `interval`: of the share after minus the one
    before, with 95% confidence. `chance`: that a fix would have been noticed in so many runs. `how`: how it was
    counted, unless the rule that found it counted both windows. `examples`: traces that still show it after the fix.
    """

    finding: Finding
    verdict: Verdict
    before: Share | None = None
    usual: Share | None = None
    after: Share | None = None
    at_most: bool = False
    interval: tuple[float, float] | None = None
    chance: float | None = None
    how: str = ""
    examples: tuple[UUID, ...] = ()

    @property
    def interval_text(self) -> str:
        """`-9.1 to -4.3 points`."""
        if self.interval is None:
            return ""
        low, high = (f"{100 * bound:+.1f}".replace("-", "\N{MINUS SIGN}") for bound in self.interval)
        return f"{low} to {high} points"

    @property
    def chance_text(self) -> str:
        return "" if self.chance is None else _probability(self.chance)


@dataclass(frozen=True, slots=True)
class Number:
    """A number of all runs in both windows. `change`: `worse`, `better`, or empty if no test says so."""

    name: str
    before: str
    after: str
    change: str


@dataclass(frozen=True, slots=True)
class Verification:
    """Findings of a report after a fix, and what else changed. `new`: findings of the window after only."""

    run: Run
    since: datetime
    before: Part
    after: Part
    before_count: int
    after_count: int
    checked: Sequence[Checked]
    numbers: Sequence[Number]
    new: Sequence[FindingDraft]
    notes: Sequence[str]

    @property
    def counts(self) -> Sequence[tuple[Verdict, int]]:
        """How many findings there are of each verdict that has some."""
        counted = [(verdict, sum(each.verdict == verdict for each in self.checked)) for verdict in Verdict]
        return [(verdict, count) for verdict, count in counted if count]


def of_run(run: Run, since: datetime, now: datetime, until: datetime | None = None) -> Verification:
    """Check all findings of a report. Raises ValidationError by field."""
    return _verify(run, run.findings.order_by("rank"), since, now, until)


def of_issue(issue: Issue, since: datetime, now: datetime, until: datetime | None = None) -> Verification:
    """Check the newest finding of an issue. Raises ValidationError by field."""
    newest = issue.findings.select_related("run__project", "run__agent").order_by("-pk").first()
    if newest is None:
        raise ValidationError({"since": "This issue has no finding any more, so there is nothing to compare with."})
    return _verify(newest.run, [newest], since, now, until)


def _verify(
    run: Run, findings: Iterable[Finding], since: datetime, now: datetime, until: datetime | None
) -> Verification:
    since = timerange.floor(since, MINUTE)
    end = timerange.floor(min(until or now, now), MINUTE)
    _check(run, since, end)
    asked_before, asked_after = _until(run, since), Part(since, end)
    before, first = _newest(run, asked_before)
    after, second = _oldest(run, Part(since, min(end, since + MAX_DAYS * DAY)))
    counter = _Counter(run, before, after, first, second)
    return Verification(
        run=run,
        since=since,
        before=before,
        after=after,
        before_count=len(first),
        after_count=len(second),
        checked=[counter.check(finding) for finding in findings],
        numbers=_numbers(first, second),
        new=counter.new_findings(),
        notes=_notes(asked_before, before, asked_after, after),
    )


def _check(run: Run, since: datetime, end: datetime) -> None:
    if since <= run.window_start:
        begun = f"{run.window_start:%-d %b %Y %H:%M} UTC"
        raise ValidationError({"since": f"Choose a time after the report's window began, which was on {begun}."})
    if end <= since:
        raise ValidationError({"since": "Choose a time that has passed, and before the end."})


def _until(run: Run, since: datetime) -> Part:
    """The window of a report as far as it is before a fix. Its end is one that lists can show."""
    if since >= run.window_end:
        return Part(run.window_start, run.window_end)
    edge = min(timerange.between(run.window_start, since).bucket_width, HOUR)
    return Part(run.window_start, max(timerange.floor(since, edge), run.window_start))


def _newest(run: Run, part: Part) -> tuple[Part, Sequence[TraceRun]]:
    """The last runs of a window, and from when on they are all there are."""
    rows, cut = reading.newest(focus.traces_between(run, part.start, part.end), MAX_SPANS)
    if cut is None:
        return part, rows
    start = timerange.floor(cut, HOUR) + HOUR
    return Part(start, max(start, part.end)), [row for row in rows if row.start_time >= start]


def _oldest(run: Run, part: Part) -> tuple[Part, Sequence[TraceRun]]:
    """The first runs of a window, and until when they are all there are."""
    rows, cut = reading.oldest(focus.traces_between(run, part.start, part.end), MAX_SPANS)
    if cut is None:
        return part, rows
    end = timerange.floor(cut, MINUTE)
    return Part(part.start, end), [row for row in rows if row.start_time < end]


def _notes(asked_before: Part, before: Part, asked_after: Part, after: Part) -> list[str]:
    notes = []
    if before != asked_before:
        notes.append(f"There are too many runs before to compare all of them: only those of {before.text} are.")
    if after != asked_after:
        notes.append(f"There are too many runs since then to compare all of them: only those of {after.text} are.")
    return notes


class _Counter:
    """Counts findings in both windows. The rules read each of them once."""

    def __init__(
        self, run: Run, before: Part, after: Part, first: Sequence[TraceRun], second: Sequence[TraceRun]
    ) -> None:
        self._run, self._before, self._after = run, before, after
        self._first, self._second = first, second
        self._found_before: Mapping[str, Candidate] = {}
        self._found_after: Mapping[str, Candidate] = {}
        self._new: Sequence[FindingDraft] = ()
        if first and second:
            self._read()

    def _read(self) -> None:
        # The window after stands for the one before, too, as rules count that without the runs that they need.
        before, after = self._before, self._after
        backward = reading.compare(self._run, self._second, self._first, before.start, before.end)
        forward = reading.compare(self._run, self._first, self._second, after.start, after.end)
        self._found_before = {each.signature: each for each in candidates_of(backward)}
        candidates = candidates_of(forward)
        self._found_after = {each.signature: each for each in candidates}
        if len(self._second) >= ENOUGH_RUNS:
            self._new = ranked(candidates, forward.window)

    def new_findings(self) -> Sequence[FindingDraft]:
        """Those of the window after that neither the report nor the window before has."""
        known = {each for each in self._found_before if not each.startswith(REGRESSION)}
        known.update(self._run.findings.values_list("signature", flat=True))
        return [each for each in self._new if each.signature not in known][:MAX_NEW]

    def check(self, finding: Finding) -> Checked:
        if not self._run.lists_traces and self._before.end < self._run.window_end:
            return Checked(finding=finding, verdict=Verdict.UNKNOWN, how="The traces of this finding have expired.")
        if finding.signature.startswith(REGRESSION):
            return self._risen(finding)
        if finding.trace_count is None or not finding.signature:
            return self._by_query(finding)
        found, again = self._found_before.get(finding.signature), self._found_after.get(finding.signature)
        if found and found.prior_count is not None:
            return self._compared(finding, found.prior_count)
        if again:
            return self._compared(finding, len(again.traces))
        how = f"The rule finds it no more. It needs {RULE_RUNS} runs, so up to {RULE_RUNS - 1} may show it."
        return self._compared(finding, RULE_RUNS - 1, how=how, at_most=True)

    def _compared(self, finding: Finding, count: int, *, how: str = "", at_most: bool = False) -> Checked:
        before = self._touched(finding)
        after = Share(min(count, len(self._second)), len(self._second))
        interval = difference(after.count, after.total, before.count, before.total)
        # That it would show again, if nothing had changed.
        chance = 1 - binomial_at_most(0, after.total, before.count / before.total) if before.total else None
        gone = difference(0, after.total, before.count, before.total)[1] < 0
        again = self._found_after.get(finding.signature)
        return Checked(
            finding=finding,
            verdict=_verdict(interval, after.total, is_gone=at_most or not after.count, is_visible=gone),
            before=before,
            after=after,
            at_most=at_most,
            interval=interval,
            chance=chance,
            how=how,
            examples=tuple(cited.trace_id for cited in again.citations) if again and not at_most else (),
        )

    def _touched(self, finding: Finding) -> Share:
        """The runs of the window before that a finding touches, of those that were read."""
        if not self._run.lists_traces:
            return Share(finding.trace_count or 0, finding.trace_total)
        mine = self._traces(self._before).filter(trace_id__in=finding.traces.values("trace_id"))
        return Share(mine.count(), self._traces(self._before).count(), f"finding={finding.pk}&{self._before.query}")

    def _traces(self, part: Part) -> TraceQuerySet:
        return focus.traces_between(self._run, part.start, part.end)

    def _by_query(self, finding: Finding) -> Checked:
        """A finding that a filter matches; else nobody can count it."""
        if not finding.query:
            how = "Only a model has read this from texts. A signal that asks the same can tell how often it happens."
            return Checked(finding=finding, verdict=Verdict.UNKNOWN, how=how)
        before, after = (self._matching(finding, part) for part in (self._before, self._after))
        interval = difference(after.count, after.total, before.count, before.total)
        gone = difference(0, after.total, before.count, before.total)[1] < 0
        return Checked(
            finding=finding,
            verdict=_verdict(interval, after.total, is_gone=not after.count, is_visible=gone),
            before=before,
            after=after,
            interval=interval,
            chance=1 - binomial_at_most(0, after.total, before.count / before.total) if before.total else None,
            how="The filter of the finding counted both windows.",
        )

    def _matching(self, finding: Finding, part: Part) -> Share:
        narrowed = [(name, value) for name, value in parse_qsl(finding.query) if name not in timerange.PARAMETERS]
        query = urlencode([each for each in narrowed if each[0] != "agent"])
        like = Run(project=self._run.project, agent_id=self._run.agent_id, focus=query)
        count = focus.traces_between(like, part.start, part.end).count()
        listed = f"{urlencode(narrowed)}&{part.query}" if part.is_exact else ""
        return Share(count, self._traces(part).count(), listed)

    def _risen(self, finding: Finding) -> Checked:
        """What rose: while it was high, after the fix, and before it began."""
        counted = _condition(finding, self._run)
        touched = focus.traces_of(self._run).filter(trace_id__in=finding.traces.values("trace_id"))
        times = touched.aggregate(first=Min("start_time"), last=Max("start_time"))
        if counted is None or times["first"] is None or times["first"] >= self._before.end:
            how = "Its traces have expired, or are not from before the fix."
            return Checked(finding=finding, verdict=Verdict.UNKNOWN, how=how)
        condition, words = counted
        begun = timerange.floor(times["first"], MINUTE)
        over = min(timerange.floor(times["last"], MINUTE) + MINUTE, self._before.end)
        high = self._share(Part(begun, over), condition)
        usual = self._usual(begun, condition)
        after = self._share(self._after, condition)
        interval = difference(after.count, after.total, high.count, high.total)
        share = usual.count / usual.total if usual.total else 0
        chance = _chance_of_a_fall(high, after.total, share)
        above = difference(after.count, after.total, usual.count, usual.total)[0] > 0
        return Checked(
            finding=finding,
            verdict=_verdict(interval, after.total, is_gone=not above, is_visible=chance >= ENOUGH_CHANCE),
            before=high,
            usual=usual,
            after=after,
            interval=interval,
            chance=chance,
            how=f"Counted are {words}: while it was high, since the fix, and before it began.",
        )

    def _usual(self, begun: datetime, condition: Q) -> Share:
        usual = self._share(Part(self._run.window_start, begun), condition)
        if usual.total >= ENOUGH_RUNS:
            return usual
        length = self._run.window_end - self._run.window_start
        return self._share(Part(self._run.window_start - length, begun), condition)

    def _share(self, part: Part, condition: Q) -> Share:
        if part.end <= part.start:
            return Share(0, 0)
        traces = self._traces(part).alias(run_tokens=TOKENS)
        return Share(traces.filter(condition).count(), traces.count())


def _condition(finding: Finding, run: Run) -> tuple[Q, str] | None:
    """Which runs count for a number that rose, and in words: the failed ones, or those as high as the finding's."""
    name = finding.signature.removeprefix(REGRESSION)
    if name == "failures":
        return FAILED, "runs that failed"
    fields = {"latency": "duration_us", "cost of a run": "cost", "tokens of a run": "run_tokens"}
    if name not in fields:
        return None
    field = fields[name]
    touched = focus.traces_of(run).alias(run_tokens=TOKENS).filter(trace_id__in=finding.traces.values("trace_id"))
    least = touched.aggregate(least=Min(field))["least"]
    if least is None:
        return None
    text = {"duration_us": formats.duration, "cost": formats.usd, "run_tokens": formats.short}[field]
    unit = " tokens" if field == "run_tokens" else ""
    return Q((f"{field}__gte", least)), f"runs of {text(least)}{unit} or more, as all runs of the finding have"


def _verdict(interval: tuple[float, float], total: int, *, is_gone: bool, is_visible: bool) -> Verdict:
    """`is_gone`: nothing of it is left. `is_visible`: if it were gone, so many runs would show that."""
    low, high = interval
    if total < ENOUGH_RUNS:
        return Verdict.UNKNOWN
    if high < 0:
        return Verdict.RESOLVED if is_gone else Verdict.DECREASED
    if low > 0:
        return Verdict.INCREASED
    return Verdict.UNCHANGED if is_visible and not is_gone else Verdict.UNKNOWN


def _chance_of_a_fall(high: Share, total: int, share: float) -> float:
    """Probability that so many runs show a significant fall, if this share of them counts."""
    seen, unseen = -1, total + 1
    while unseen - seen > 1:
        middle = (seen + unseen) // 2
        if difference(middle, total, high.count, high.total)[1] < 0:
            seen = middle
        else:
            unseen = middle
    return binomial_at_most(seen, total, share) if seen >= 0 else 0.0


def _probability(chance: float) -> str:
    if chance > 0.999:
        return "over 99.9%"
    return "under 0.1%" if chance < 0.001 else f"{100 * chance:.1f}%"


def _numbers(first: Sequence[TraceRun], second: Sequence[TraceRun]) -> list[Number]:
    """What may have got worse meanwhile."""
    if not first or not second:
        return []
    failed = [sum(run.failed for run in runs) for runs in (first, second)]
    low, high = difference(failed[1], len(second), failed[0], len(first))
    before, after = formats.percent(failed[0], len(first)), formats.percent(failed[1], len(second))
    numbers = [Number("Failed runs", before, after, "worse" if low > 0 else "better" if high < 0 else "")]
    return numbers + [number for each in MEASURED if (number := _measured(each, first, second))]


@dataclass(frozen=True, slots=True)
class _Measure:
    """A number of runs, told by a statistic."""

    name: str
    of: Callable[[TraceRun], float | None]
    statistic: Callable[[Sequence[float]], float]
    text: Callable[[float], str]


def _measured(measure: _Measure, first: Sequence[TraceRun], second: Sequence[TraceRun]) -> Number | None:
    before, after = ([value for run in runs if (value := measure.of(run)) is not None] for runs in (first, second))
    if not before or not after:
        return None
    was, now = measure.statistic(before), measure.statistic(after)
    is_change = mann_whitney(_thinned(after), _thinned(before)) < SIGNIFICANT and was != now
    change = ("worse" if now > was else "better") if is_change else ""
    return Number(measure.name, measure.text(was), measure.text(now), change)


def _thinned(values: Sequence[float]) -> Sequence[float]:
    return values[:: -(-len(values) // MAX_TESTED) or 1]


def _latency(run: TraceRun) -> float | None:
    return run.duration_us if run.root_ended else None


def _cost(run: TraceRun) -> float | None:
    return float(run.cost) if run.cost != Decimal(0) else None


def _tokens(run: TraceRun) -> float | None:
    return (run.input_tokens + run.output_tokens) or None


def _p95(values: Sequence[float]) -> float:
    return sorted(values)[len(values) * 95 // 100]


MEASURED = (
    _Measure("Latency (p95)", _latency, _p95, formats.duration),
    _Measure("Cost of a run (mean)", _cost, fmean, formats.usd),
    _Measure("Tokens of a run (mean)", _tokens, fmean, formats.short),
)
