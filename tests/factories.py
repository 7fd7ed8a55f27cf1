"""Rows for tests, made the way the product makes them: traffic through ingest, signals through actions."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from alerts import channel_settings
from alerts import operations as alert_operations
from alerts.channel_settings import Given
from alerts.choices import Comparison, Metric, Operator, Window
from alerts.models import Alert, AlertEvent, AlertState, Channel
from alerts.operations import Definition as AlertDefinition
from alerts.rules import EventKind, Level
from catalyst.agents.models import Agent
from catalyst.core.actor import SYSTEM
from catalyst.core.models import Project
from catalyst.llm import ChatMessage
from catalyst.llms import connections
from catalyst.llms.connections import Secrets, Settings
from catalyst.llms.models import ModelConnection
from catalyst.notifications import Curve, Excerpt, Fact, Link, Message, Severity
from halo.choices import OPEN_STATUSES, RunStatus
from halo.models import Citation, Finding, FindingTrace, Issue, Run, RunEvent
from halo.runs import requests
from halo.runs.requests import Definition as ReportDefinition
from signals import operations
from signals.definitions.definition import Definition
from signals.definitions.judge_view import JudgeView
from signals.judging import exchanges
from signals.judging.exchanges import PromptAndReply
from signals.models import Label, Signal, Verdict
from signals.targets import settling
from tests.traces.sent import sent_span
from traces.filters import EVERYTHING, Filter
from traces.ingest import identities, pipeline, rollups, trace_rows
from traces.ingest.rollups import Change
from traces.ingest.trace_rows import TraceRow
from traces.models import Session, Trace
from traces.models.span import hex_span_id
from traces.otlp import DecodedSpan
from traces.summary import Summary, summarize

AGENT = "support-bot"
OPENING = ("Where is my parcel?", "It arrives on Tuesday.")
LATER = timedelta(hours=2)


def make_agent(project: Project, name: str = AGENT, *, seen: datetime | None = None) -> Agent:
    """An agent as its first span would make it."""
    first_seen = seen or datetime.fromisoformat("2026-11-01T00:00:00+00:00")
    source = Agent.Source.AGENT_NAME
    defaults = {"name": name, "source": source, "first_seen_at": first_seen}
    return Agent.objects.get_or_create(project=project, identity=name, defaults=defaults)[0]


def make_connection(
    project: Project,
    name: str = "Team",
    *,
    now: datetime,
    url: str = "https://models.invalid/v1",
    key: str = "sk-secret-of-the-team",
    headers: Mapping[str, str] | None = None,
    model: str = "gpt-4o-mini",
    **about: Any,
) -> ModelConnection:
    """A model connection. The default address leads nowhere."""
    settings = Settings(name=name, base_url=url, default_model=model, **about)
    return connections.create(project, settings, Secrets(key, headers), by=SYSTEM, now=now)


WEBHOOK = {
    "url": "https://hooks.invalid/in?token=hidden-1234",
    "signing_secret": "whsec_" + "c2lnbmluZy1zZWNyZXQtb2YtdGhlLXRlc3Rz",
}


def make_channel(
    project: Project,
    name: str = "On call",
    *,
    now: datetime,
    kind: str = "webhook",
    settings: Mapping[str, str] | None = None,
    secrets: Mapping[str, str] | None = None,
) -> Channel:
    """A channel. The default one is a webhook that leads nowhere."""
    values = WEBHOOK if secrets is None and kind == "webhook" else secrets or {}
    return channel_settings.create(project, kind, Given(name, settings, values), by=SYSTEM, now=now)[0]


def make_message(**about: Any) -> Message:
    """A message of everything that messages may have."""
    link = Link(text="Open the alert", url="https://catalyst.example/p/default/alerts/7/")
    values: dict[str, Any] = {
        "severity": Severity.CRITICAL,
        "title": "Refunds fired",
        "text": "Refund wanted is 42% over the last hour, at least 30%.",
        "project": "Default",
        "sent_for": datetime.fromisoformat("2026-11-20T12:00:00+00:00"),
        "group": "alert-7",
        "facts": (Fact(name="Sample", value="480 of 512 judged"),),
        "excerpts": (Excerpt(label="yes", reason="Asks for money back.", text="I want a refund.", link=link),),
        "curve": Curve(title="Share of yes", points=(0.1, 0.2, None, 0.4), threshold=0.3),
        "links": (link,),
    }
    return Message(**values | about)


def make_signal(
    agent: Agent,
    *,
    name: str = "Refund wanted",
    scope: str = "trace",
    prompt: str = "Does the user ask for a refund?",
    labels: Sequence[str] = (),
    sample_rate: int = 100,
    judge_model: str = "",
    connection: str = "",
    traffic_filter: Filter = EVERYTHING,
    view: JudgeView | None = None,
    template: str = "",
    quiet_minutes: int | None = None,
    active_since: datetime | None = None,
) -> Signal:
    """A signal: a binary unless it has labels, a draft unless it is active since some time.

    The first label is positive, the others are negative. A name that is taken gets a number.
    """
    question = Definition(
        type="string" if labels else "binary",
        prompt=prompt,
        labels=labels,
        sentiments={label: "negative" if number else "positive" for number, label in enumerate(labels)},
        sample_rate=sample_rate,
        judge_model=judge_model,
        connection=connection,
        filter=traffic_filter,
        view=view or JudgeView(),
    )
    free = Signal.objects.for_agent(agent).unarchived().free_name(name)
    signal = operations.create_signal(agent, name=free, scope=scope, definition=question, template=template)
    if quiet_minutes is not None:
        operations.set_quiet_minutes(signal, quiet_minutes, active_since or signal.created_at)
    if active_since is not None:
        operations.activate(signal, active_since)
    return signal


def turn(
    trace: int,
    *,
    start: datetime,
    said: tuple[str, str] = OPENING,
    agent: str = AGENT,
    session: str = "",
    user: str = "",
    error: str = "",
) -> list[DecodedSpan]:
    """The spans of one run: a root that names the agent, a model call, and a failed tool if there is an error."""
    identity: dict[str, Any] = {"agent__name": agent} if agent else {}
    if session:
        identity["session__id"] = session
    if user:
        identity["user__id"] = user
    asked, answered = said
    first = trace * 16
    spans = [
        sent_span(first + 1, trace=trace, start=start, openinference__span__kind="AGENT", **identity),
        sent_span(
            first + 2,
            first + 1,
            trace=trace,
            start=start,
            openinference__span__kind="LLM",
            llm__model_name="gpt-4o-mini",
            llm__token_count__prompt=100,
            llm__token_count__completion=10,
            **messages("input", ("user", asked)),
            **messages("output", ("assistant", answered)),
        ),
    ]
    if error:
        failed = sent_span(
            first + 3,
            first + 1,
            trace=trace,
            start=start + timedelta(milliseconds=500),
            status="error",
            openinference__span__kind="TOOL",
            tool__name="lookup",
            input__value=json.dumps({"order": trace}),
        )
        failed.status_message = error
        spans.append(failed)
    return spans


def messages(side: str, *said: tuple[str, str]) -> dict[str, Any]:
    """Messages as OpenInference flattens them; side is input or output."""
    return {
        f"llm__{side}_messages__{number}__message__{key}": value
        for number, (role, text) in enumerate(said)
        for key, value in (("role", role), ("content", text))
    }


def make_trace(project: Project, trace: int = 1, *, now: datetime, **about: Any) -> Trace:
    """Post a `turn` that just ended and return its row."""
    pipeline.store(project.pk, turn(trace, start=now - timedelta(seconds=2), **about), now)
    return Trace.objects.get(project=project, trace_id=UUID(int=trace))


def make_traces(project: Project, numbers: Iterable[int], *, now: datetime, **about: Any) -> None:
    """Post several turns that just ended in one request. A request for each takes much longer."""
    start = now - timedelta(seconds=2)
    spans: list[DecodedSpan] = []
    for number in numbers:
        spans += turn(number, start=start, said=(f"Question {number}?", f"Answer {number}."), **about)
    pipeline.store(project.pk, spans, now)


def make_session(
    project: Project, key: str = "conversation", *, turns: int = 2, first: int = 1, now: datetime
) -> Session:
    """Post a session of several turns in one request and return its row."""
    make_traces(project, range(first, first + turns), now=now, session=key)
    return Session.objects.get(project=project, key=key)


def make_trace_rows(
    project: Project, numbers: Iterable[int], *, now: datetime, agent: str = AGENT, session: str = ""
) -> list[Trace]:
    """Rows of turns that just ended, with their session and sums, in order of their numbers.

    No span is stored and nothing settles: they are for lists and charts, not for the page of a trace.
    """
    said = {number: (f"Question {number}?", f"Answer {number}.") for number in numbers}
    return _write_trace_rows(project, said, now, agent, session)


def make_trace_row(
    project: Project,
    number: int = 1,
    *,
    now: datetime,
    said: tuple[str, str] = OPENING,
    agent: str = AGENT,
    session: str = "",
) -> Trace:
    """The row of a turn that just ended, as in `make_trace_rows`."""
    return _write_trace_rows(project, {number: said}, now, agent, session)[0]


def make_session_row(
    project: Project, key: str = "conversation", *, turns: int = 2, first: int = 1, now: datetime
) -> Session:
    """The row of a session of several turns, with theirs, as in `make_trace_rows`."""
    make_trace_rows(project, range(first, first + turns), now=now, session=key)
    return Session.objects.get(project=project, key=key)


def _write_trace_rows(
    project: Project, said: dict[int, tuple[str, str]], now: datetime, agent: str, session: str
) -> list[Trace]:
    start = now - timedelta(seconds=2)
    summary = replace(
        _summary_of_a_turn(),
        agent_id=make_agent(project, agent, seen=now).pk if agent else None,
        session_key=session,
        start_time=start,
        end_time=start + timedelta(seconds=1),
    )
    session_id = identities.session_ids(project.pk, [summary], now).get(session)
    rows = [
        TraceRow(UUID(int=number), replace(summary, root_span_id=number * 16 + 1), session_id, *texts)
        for number, texts in said.items()
    ]
    trace_rows.lock(project.pk, rows, now, now)
    rollups.apply(project.pk, [Change(None, row.summary, None, session_id) for row in rows], now)
    return list(Trace.objects.filter(project=project, trace_id__in=[row.trace_id for row in rows]).order_by("trace_id"))


@cache
def _summary_of_a_turn() -> Summary:
    start = datetime.fromisoformat("2026-11-01T00:00:00+00:00")
    return summarize([reading.span for reading in pipeline.read(0, turn(1, start=start), start).readings])


def settle_all(now: datetime) -> int:
    """Settle everything as if long quiet; returns how many labels were queued."""
    labels = 0
    while (settled := settling.settle(now + LATER)).targets:
        labels += settled.labels
    return labels


def make_verdict(label: Label, now: datetime, value: str = "yes", answer: str = "{}") -> Verdict:
    """A verdict on a label, with what was asked and answered."""
    verdict = Verdict.objects.create(
        label=label, revision=1, value=value, reason=f"Because {value}.", model="judge-1", latency_ms=10
    )
    asked: list[ChatMessage] = [{"role": "system", "content": "Judge."}, {"role": "user", "content": "A recording."}]
    exchanges.store([(label, verdict, PromptAndReply(asked, answer))], now)
    return verdict


def make_label(signal: Signal, number: int = 1, *, now: datetime, value: str = "", **fields: Any) -> Label:
    """A label: done if it has a value, else queued. Nothing is posted or settled. `fields` may name another target."""
    assert signal.current_version is not None
    trace_id = UUID(int=number)
    row: dict[str, Any] = {"target_time": now, "not_before": now, "wanted_revision": 1}
    row |= {"scope": "trace", "trace_id": trace_id, "target_key": trace_id.hex}
    if value:
        row |= {"status": "done", "value": value, "reason": f"Because {value}.", "judge": "judge-1", "labelled_at": now}
    return Label.objects.create(
        version=signal.current_version,
        signal=signal,
        project_id=signal.project_id,
        **row | fields,
    )


def make_labels(signal: Signal, project: Project, count: int, *, now: datetime) -> list[Label]:
    """Queued trace labels of an active signal, through ingest and settling."""
    make_traces(project, range(1, count + 1), now=now, agent=signal.agent.identity)
    settle_all(now)
    return list(Label.objects.filter(signal=signal).order_by("trace_id"))


def give(signal: Signal, value: str, *, now: datetime, **which: Any) -> None:
    """Label the targets of a signal, or which of them, as a judge would."""
    Label.objects.filter(signal=signal, **which).update(status="done", value=value, labelled_at=now)


def alert_definition(**about: Any) -> AlertDefinition:
    """An alert on at least 30 % yes in an hour, unless it is about something else."""
    asked: dict[str, Any] = {
        "name": "Many refunds",
        "metric": Metric.TRUE_RATE,
        "comparison": Comparison.ABSOLUTE,
        "operator": Operator.GTE,
        "threshold": 0.3,
        "window": Window.HOUR,
    }
    return AlertDefinition(**asked | about)


def make_alert(subject: Signal | Agent, *, now: datetime, **about: Any) -> Alert:
    """An alert as `alert_definition` describes it; on 30 % of failed traces if it is on an agent's own numbers."""
    about = {"metric": Metric.ERROR_RATE} | about if isinstance(subject, Agent) else about
    return alert_operations.create_alert(subject, alert_definition(**about), now)


def make_event(alert: Alert, at: datetime, kind: str = EventKind.FIRED, **about: Any) -> AlertEvent:
    """What the evaluation writes about a window: an event and, if the alert fired, its state."""
    if kind == EventKind.FIRED:
        known = {"level": Level.FIRING, "fired_at": at, "value": 0.4, "labelled": 50, "requested": 50}
        AlertState.objects.filter(alert=alert).update(**known, evaluated_until=at, evaluated_at=at)
    rule = {"metric": alert.metric, "threshold": alert.threshold, "window": alert.window, "operator": alert.operator}
    fields: dict[str, Any] = {"rule": rule, "observed": 0.4, "labelled": 50, "requested": 50}
    return AlertEvent.objects.create(
        project_id=alert.project_id, alert=alert, kind=kind, window_end=at, created_at=at, **fields | about
    )


def make_run(
    agent: Agent,
    *,
    now: datetime,
    status: str = RunStatus.COMPLETED,
    asked: Mapping[str, Any] | None = None,
    **columns: Any,
) -> Run:
    """A report on the day before, as a worker left it. `asked`: parts of its `Definition`."""
    window = {"window_start": now - timedelta(days=1), "window_end": now}
    run = requests.create(agent, ReportDefinition(**window | dict(asked or {})), now)
    known: dict[str, Any] = {"status": status, "started_at": now}
    if status not in OPEN_STATUSES:
        known["ended_at"] = now + timedelta(seconds=7)
    if status == RunStatus.COMPLETED:
        known |= {"trace_count": 100, "span_count": 300, "error_count": 5, "read_trace_count": 100}
        known |= {"read_span_count": 300, "lede": "One failure does most of the harm."}
    Run.objects.filter(pk=run.pk).update(**known | columns)
    run.refresh_from_db()
    return run


def make_finding(run: Run, traces: Sequence[UUID] = (), *, rank: int = 1, **columns: Any) -> Finding:
    """A finding that touches these traces."""
    about: dict[str, Any] = {
        "title": f"Finding {rank} of {run.pk}",
        "severity": "high",
        "category": "reliability",
        "happens": "The tool `lookup` fails.",
        "evidence": "It failed in each of them.",
        "fix": "Retry it once.",
        "trace_count": len(traces) or None,
        "trace_total": 100,
        "created_at": run.created_at,
    }
    finding = Finding.objects.create(
        run=run, project_id=run.project_id, agent_id=run.agent_id, rank=rank, **about | columns
    )
    FindingTrace.objects.bulk_create(FindingTrace(finding=finding, trace_id=each) for each in traces)
    return finding


def make_issue(agent: Agent, *, now: datetime, **columns: Any) -> Issue:
    """An open issue of the day before, without findings."""
    about: dict[str, Any] = {
        "title": "The tool fails",
        "severity": "high",
        "category": "reliability",
        "state_since": now,
        "first_seen_at": now - timedelta(days=1),
        "last_seen_at": now,
        "created_at": now,
    }
    return Issue.objects.create(project=agent.project, agent=agent, **about | columns)


def make_citation(
    run: Run, finding: Finding | None, trace_id: UUID | None, span_id: int | None = None, **columns: Any
) -> Citation:
    """A citation that was verified, unless it names no trace."""
    state = "verified" if trace_id else "unknown"
    text = "" if trace_id is None else trace_id.hex if span_id is None else f"{trace_id.hex}:{hex_span_id(span_id)}"
    about: dict[str, Any] = {"text": text or "f" * 32, "state": state}
    return Citation.objects.create(
        run=run,
        finding=finding,
        position=run.citations.count() + 1,
        trace_id=trace_id,
        span_id=span_id,
        **about | columns,
    )


def make_run_event(run: Run, text: str, *, at: datetime, agent: str = "analyst", depth: int = 0) -> RunEvent:
    """One thing that happened in a run."""
    number = run.events.count() + 1
    return RunEvent.objects.create(
        run=run, sequence=number, kind="turn", agent=agent, depth=depth, text=text, created_at=at
    )
