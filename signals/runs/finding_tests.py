"""Tests on the traces of a finding: what it cites should get the bad label, most others should not."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from catalyst.core.models import Project
from signals.definitions.choices import Scope, Sentiment
from signals.models import SignalVersion
from signals.runs import signal_tests
from signals.runs.signal_tests import Results, Sample
from signals.sampling import trace_key
from traces import trace_groups
from traces.trace_groups import Examples

MAX_CITED, MAX_OTHERS = 20, 20
SPANS = "A finding cites traces. To test it on them, choose the scope trace or session."

OTHER_AGENT = "The finding is of another agent."


@dataclass(frozen=True, slots=True)
class Share:
    """How many of the judged targets got a bad label."""

    bad: int
    judged: int

    @property
    def missed(self) -> int:
        return self.judged - self.bad


@dataclass(frozen=True, slots=True)
class Proof:
    """What a test says of a signal that is to measure a finding. `bad_words`: `yes`, or `one of a, b`."""

    bad_words: str
    cited: Share
    others: Share

    @property
    def misses_cited(self) -> bool:
        return bool(self.cited.missed)

    @property
    def hits_others(self) -> bool:
        return 2 * self.others.bad > self.others.judged


def examples_of(project: Project, finding: int | None) -> Examples | None:
    return None if finding is None else trace_groups.examples(project, finding, MAX_CITED)


def sample(version: SignalVersion, examples: Examples, limit: int, now: datetime) -> Sample:
    """What the finding cites, then others, up to the limit."""
    project, scope = version.signal.agent.project, version.signal.scope
    if version.signal.agent_id != examples.agent:
        return Sample([], limit, OTHER_AGENT, finding=examples.key)
    if scope == Scope.SPAN:
        return Sample([], limit, SPANS, finding=examples.key)
    keys = [*keys_of(project, scope, examples.cited), *keys_of(project, scope, examples.others)]
    keys = list(dict.fromkeys(keys))[:limit]
    targets = signal_tests.sample_by_key(version, keys, now).targets
    return Sample(targets, limit, "The finding and its window have no others.", finding=examples.key)


def keys_of(project: Project, scope: str, traces: Sequence[UUID]) -> list[str]:
    """The keys of the targets that these traces are or belong to."""
    if scope == Scope.TRACE:
        return [trace_key(trace) for trace in traces]
    sessions = project.traces.filter(trace_id__in=traces, session__isnull=False)
    by_trace = dict(sessions.values_list("trace_id", "session__key"))
    return [by_trace[trace] for trace in traces if trace in by_trace]


def proof_of(project: Project, results: Results) -> Proof | None:
    """None for a test that is not of a finding, or before anything is judged."""
    test = results.test
    examples = examples_of(project, test.finding)
    bad = [label for label in test.labels if test.sentiments.get(label) == Sentiment.NEGATIVE]
    if examples is None or not bad or not results.labelled:
        return None
    cited = set(keys_of(project, test.scope, examples.cited))
    values = [(item.target_key in cited, item.value) for item in results.items if item.value]
    words = bad[0] if len(bad) == 1 else f"one of {', '.join(bad)}"
    return Proof(words, _share(values, bad, is_cited=True), _share(values, bad, is_cited=False))


def _share(values: Sequence[tuple[bool, str]], bad: Collection[str], *, is_cited: bool) -> Share:
    of_kind = [value for cited, value in values if cited is is_cited]
    return Share(sum(value in bad for value in of_kind), len(of_kind))
