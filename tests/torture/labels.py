"""Signals that judge from the start, and whether every sampled target has exactly one label.

Which targets are sampled is told anew from what was sent, with the documented hash and none of the product's code.
"""

import hashlib
from collections.abc import Iterable, Iterator

from tests.bench.judge_stub import Stub
from tests.bench.traffic import AGENTS, Sent
from tests.e2e.instance import Instance
from tests.torture.report import Report

SIGNALS = {
    ("trace", AGENTS[0]): 50,
    ("span", AGENTS[1]): 25,
    ("session", AGENTS[2]): 100,
    ("trace", AGENTS[3]): 100,
    ("span", AGENTS[3]): 10,
}
"""Percent of the targets that are judged, by scope and agent."""
ACTIVATE = """
from django.utils import timezone
from catalyst.agents.models import Agent
from catalyst.core.models import Project
from signals import operations
from signals.definitions.definition import Definition
project = Project.objects.get(slug="default")
for (scope, agent), rate in {signals}.items():
    known = {{"name": agent, "source": "agent_id", "first_seen_at": timezone.now()}}
    found, _ = Agent.objects.get_or_create(project=project, identity=agent, defaults=known)
    question = Definition(type="binary", prompt="Is it well?", sample_rate=rate)
    signal = operations.create_signal(found, name=f"{{scope}} of {{agent}}", scope=scope, definition=question)
    operations.activate(signal, timezone.now())
"""
LABELS = """
    SELECT l.scope, a.identity, l.target_key, l.status FROM signals_label l
    JOIN signals_signal s ON s.id = l.signal_id JOIN agents_agent a ON a.id = s.agent_id
"""
REPEATED = """
    SELECT coalesce(sum(n - 1), 0)::bigint FROM
        (SELECT count(*) AS n FROM signals_verdict GROUP BY label_id, revision) v
"""
DOMAIN = b"catalyst.signals.sampling.v1\0"
FEW = 0.05
SHOWN = 5


def activate(instance: Instance) -> None:
    """Make the signals and let them judge what arrives from now on."""
    instance.shell(ACTIVATE.format(signals=SIGNALS))


def is_sampled(target: str, percent: int) -> bool:
    """Whether the first eight bytes of the target's hash, as a fraction, lie below the rate."""
    return int.from_bytes(hashlib.sha256(DOMAIN + target.encode()).digest()[:8]) / 2**64 < percent / 100


def targets(span: Sent) -> Iterator[tuple[str, str]]:
    """Scope and key of each target that a span is or belongs to."""
    yield "trace", span.trace_id.hex
    yield "session", span.session
    if span.kind == "LLM":
        yield "span", f"{span.trace_id.hex}:{span.span_id & (1 << 64) - 1:016x}"


def wanted(sent: Iterable[Sent]) -> set[tuple[str, str, str]]:
    """Scope, agent and key of all targets to be judged."""
    return {
        (scope, span.agent, key)
        for span in sent
        for scope, key in targets(span)
        if is_sampled(key, SIGNALS.get((scope, span.agent), 0))
    }


def check(instance: Instance, sent: Iterable[Sent], stub: Stub, report: Report, few: float = FEW) -> None:
    """Compare the labels with what was to be judged. `few`: the share of verdicts that may repeat another."""
    due = wanted(sent)
    rows = instance.query(LABELS)
    found = [(scope, agent, key) for scope, agent, key, _ in rows]
    report.say("sampled targets", len(due))
    missing = sorted(due - set(found))
    report.expect("sampled targets without a label", len(missing))
    report.failures += [f"no label: {scope} {key} of {agent}" for scope, agent, key in missing[:SHOWN]]
    report.expect("labels of targets that are not sampled", len(set(found) - due))
    report.expect("targets labelled twice", len(found) - len(set(found)))
    report.expect("labels that were not given", sum(status != "done" for *_, status in rows))
    verdicts, repeated = instance.count("SELECT count(*) FROM signals_verdict"), instance.count(REPEATED)
    report.say("verdicts", verdicts)
    report.say("calls of the judge", stub.asked.value)
    report.say(
        "verdicts that repeat another on the same state of a target", f"{repeated:,} ({repeated / verdicts:.1%})"
    )
    if repeated > few * verdicts:
        report.failures.append(f"{repeated:,} verdicts repeat another, which is more than a few per cent")
