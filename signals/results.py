"""What the pages of signals show of their labels: sums, and rows with their targets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from types import MappingProxyType

from django.urls import reverse

from catalyst.charts import Bar, stackbar
from catalyst.core.models import Project
from catalyst.timerange import TimeRange
from signals import charts
from signals.charts import Outcome
from signals.connection import judge_name
from signals.models import Label, Scope, Signal, SignalVersion
from signals.querysets import Coverage, LabelFilter, LabelQuerySet, Tally
from signals.spending import Stop
from traces.models import Session, Trace, Unsettled, hex_span_id

MOST_VERSIONS = 50


@dataclass(frozen=True, slots=True)
class Summary:
    """The labels of one signal in a range of time."""

    signal: Signal
    outcomes: list[Outcome]
    coverage: Coverage
    last: datetime | None
    stop: Stop | None = None

    @property
    def labelled(self) -> int:
        """Labels with a value, those that wait to be judged again included."""
        return sum(outcome.count for outcome in self.outcomes)

    @property
    def waiting(self) -> int:
        """Targets that no judge has ended with yet."""
        return self.coverage.queued + self.coverage.running

    @property
    def earlier(self) -> int:
        """Labels of an earlier state: their target grew and waits, or failed when it was judged again."""
        return self.labelled - self.coverage.done

    @property
    def words(self) -> str:
        """The outcomes with their counts."""
        return ", ".join(f"{outcome.value} {outcome.count}" for outcome in self.outcomes)

    @property
    def bars(self) -> list[Bar]:
        """The breakdown bar."""
        return charts.breakdown(self.outcomes)

    @property
    def telling(self) -> Outcome | None:
        """The outcome that is named beside the bar."""
        return charts.telling(self.outcomes)

    @property
    def coverage_bars(self) -> list[Bar]:
        """What became of the sampled targets, as one bar."""
        covered = self.coverage
        parts = [("Labelled", covered.done, "accent"), ("Waiting", self.waiting, "quiet")]
        return stackbar([*parts, ("Failed", covered.failed, "error"), ("No content", covered.skipped, "neutral")])


@dataclass(frozen=True, slots=True)
class Row:
    """One label with what it is about. `href` is empty when the target is not stored any more."""

    label: Label
    title: str
    id: str
    href: str

    @property
    def mood(self) -> str:
        """The sentiment as it is coloured."""
        return charts.mood(self.label.value, self.label.sentiment)

    @property
    def judge(self) -> str:
        """Who gave the label."""
        return judge_name(self.label.judge)


def summaries(
    signals: Sequence[Signal], time_range: TimeRange, stops: Mapping[int, Stop] = MappingProxyType({})
) -> list[Summary]:
    """The signals with their labels in the range, in a constant number of queries. `stops`: by signal, if any."""
    labels = Label.objects.filter(signal__in=signals).within(time_range)
    tallies, coverages = labels.tallies_by_signal(), labels.coverage_by_signal()
    return [
        _summary(
            signal,
            sentiments_of([signal.current_version] if signal.current_version else []),
            tallies.get(signal.pk, []),
            coverages.get(signal.pk, Coverage()),
            stops.get(signal.pk),
        )
        for signal in signals
    ]


def summary(signal: Signal, versions: Sequence[SignalVersion], labels: LabelQuerySet) -> Summary:
    """One signal with these labels of it."""
    tallies = labels.tallies_by_signal().get(signal.pk, [])
    return _summary(signal, sentiments_of(versions), tallies, labels.coverage())


def _summary(
    signal: Signal, known: Mapping[str, str], tallies: Sequence[Tally], coverage: Coverage, stop: Stop | None = None
) -> Summary:
    counts = {tally.value: tally.count for tally in tallies}
    last = max((tally.last for tally in tallies if tally.last), default=None)
    return Summary(signal, outcomes(signal, known, counts), coverage, last, stop)


def outcomes(signal: Signal, known: Mapping[str, str], counts: Mapping[str, int]) -> list[Outcome]:
    """The labels that a signal gives, and those of older versions where there are labels of them."""
    current = signal.current_version.labels if signal.current_version else []
    return charts.outcomes({value: known.get(value, "neutral") for value in chain(current, counts)}, counts)


def sentiments_of(versions: Sequence[SignalVersion]) -> dict[str, str]:
    """The sentiment of every outcome that these versions know; the first one's word counts."""
    return dict(chain.from_iterable(version.sentiments.items() for version in reversed(versions)))


def versions(signal: Signal) -> list[SignalVersion]:
    """What the signal asks and asked, newest first."""
    return list(signal.versions.select_related("created_by").order_by("-number")[:MOST_VERSIONS])


def is_open(signal: Signal, labels: LabelQuerySet) -> bool:
    """True while one of these labels waits, or traffic that an active signal may look at has yet to go quiet."""
    if labels.matching(LabelFilter(status="waiting")).exists():
        return True
    if signal.state != Signal.State.ACTIVE:
        return False
    due = Unsettled.objects.filter(scope=signal.scope).values("target_id")
    targets = Session.objects if signal.scope == Scope.SESSION else Trace.objects
    return targets.filter(agent_id=signal.agent_id, pk__in=due).exists()


def rows(project: Project, scope: str, labels: Sequence[Label]) -> list[Row]:
    """Labels of one signal with their targets, which one query finds."""
    if scope == Scope.SESSION:
        return _session_rows(project, labels)
    ids = {label.trace_id for label in labels if label.trace_id}
    traces = {trace.trace_id: trace for trace in project.traces.filter(trace_id__in=ids).for_list()}
    found = []
    for label in labels:
        trace = traces.get(label.trace_id) if label.trace_id else None
        title = (trace.input_preview or trace.name) if trace else ""
        own_id = label.target_key.rpartition(":")[2]
        found.append(Row(label, title, own_id, _trace_href(project, label) if trace else ""))
    return found


def _session_rows(project: Project, labels: Sequence[Label]) -> list[Row]:
    keys = {label.session_key for label in labels}
    known = project.sessions.filter(key__in=keys).for_list(project.traces.all())
    named = known.values_list("key", "pk", "opening")  # type: ignore[misc]
    sessions = {key: (pk, opening or "") for key, pk, opening in named}
    found = []
    for label in labels:
        pk, title = sessions.get(label.session_key, (0, ""))
        href = reverse("traces:session-detail", args=[project.slug, pk]) if pk else ""
        found.append(Row(label, title, label.session_key, href))
    return found


def _trace_href(project: Project, label: Label) -> str:
    path = reverse("traces:trace-detail", args=[project.slug, label.trace_id])
    return path if label.span_id is None else f"{path}?span={hex_span_id(label.span_id)}"
