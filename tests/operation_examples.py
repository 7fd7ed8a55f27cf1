"""A project with one of everything that operations name, and arguments of each operation that name its rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from alerts import operations as alert_operations
from alerts.models import Alert, Channel
from catalyst.agents.models import Agent, AgentIdentity
from catalyst.core import operations as core_operations
from catalyst.core.actor import SYSTEM
from catalyst.core.models import ApiKey, Invitation, Membership, Project, User
from catalyst.core.operation_context import Context, for_operator, for_system
from catalyst.llms.amounts import Cap
from catalyst.llms.models import Budget, ModelConnection
from catalyst.notifications import notify
from catalyst.operations import Caller, Operation
from halo.models import Issue, Run, Schedule
from halo.runs import requests
from halo.runs.requests import Definition as Request
from halo.schedules import writes as schedules
from signals import operations
from signals.definitions.definition import Definition
from signals.judging import exchanges
from signals.judging.exchanges import PromptAndReply
from signals.models import Label, Signal, SignalRun, SignalTest
from signals.runs import backfill, signal_tests
from tests.factories import (
    WEBHOOK,
    make_agent,
    make_alert,
    make_channel,
    make_connection,
    make_event,
    make_finding,
    make_issue,
    make_label,
    make_message,
    make_signal,
    make_trace,
    make_verdict,
)
from traces.models import Trace
from traces.models.span import hex_span_id
from traces.records import SpanRecord
from traces.transcripts import conversations

# In every text of the project: no answer to another project may hold it.
SECRET = "xyzzy"


def operator_of(operation: Operation, project: Project, now: datetime) -> Caller:
    """An operator, as the operation takes one."""
    return for_system(project, now) if operation.caller is Context else for_operator(now)


@dataclass(frozen=True)
class World:
    project: Project
    now: datetime
    signal: Signal
    archived: Signal
    label: Label
    run: SignalRun
    trace: Trace
    member: Membership
    invitation: Invitation
    key: ApiKey
    test: SignalTest
    connection: ModelConnection
    alert: Alert
    archived_alert: Alert
    channel: Channel
    report: Run
    issue: Issue
    other_issue: Issue
    schedule: Schedule


def make_world(project: Project, now: datetime, word: str = SECRET) -> World:
    """Fill a project. Its agent and its session have the same keys whatever the word is."""
    agent = make_agent(project, f"agent-{SECRET}")
    turn = (f"Question {word}?", "Answer.")
    trace = make_trace(project, 1, now=now, session=f"session-{SECRET}", said=turn, agent=agent.identity)
    make_agent(project, "twin")
    AgentIdentity.objects.create(project=project, identity="joined", agent=agent, first_seen_at=now)
    signal = make_signal(agent, name=f"Signal {word}")
    make_label(signal, 2, now=now, value="yes")
    operations.publish_version(signal, Definition("binary", f"Is it {word}?", 100))
    operations.activate(signal, now - timedelta(days=1))
    failed = make_label(signal, 3, now=now, status="failed", error=word)
    make_verdict(failed, now, answer=word)
    make_label(signal, 4, now=now)
    archived = make_signal(agent, name=f"Archived {word}")
    run = backfill.start(archived, start=now - timedelta(days=2), end=now, sample_rate=100, now=now)
    operations.archive(archived, now)
    operations.cap_signal(signal, Cap(calls=1), now)
    Budget.objects.update(calls=1, spent=Decimal(0), day=now.date())
    member = core_operations.add_member(
        project, user=User.objects.create_user(f"user-{word}"), role="member", by=SYSTEM
    )
    invitation, _ = core_operations.invite(project, role="viewer", by=SYSTEM, now=now)
    key, _ = core_operations.create_key(project, name=f"Key {word}", scopes=["read"], by=SYSTEM)
    signal.refresh_from_db()
    version = signal.current_version
    assert version is not None
    sample = signal_tests.sample_newest(version, 1, now - timedelta(days=1), now + timedelta(minutes=1))
    test = signal_tests.start_test(version, sample, now)
    said = PromptAndReply([{"role": "user", "content": word}])
    test.items.update(exchange=exchanges.compress(said))
    connection = make_connection(project, f"Connection {word}", now=now)
    channel = make_mail_channel(project, word, now)
    message = make_message(title=f"Fired {word}", text=word, project=project.name)
    notify(project.pk, "alert.fired", "event-1", message, [channel.pk], now=now)
    alert, archived_alert = _make_alerts(signal, channel, now, word)
    report = make_report(agent, trace, now, word)
    issue, other_issue = make_issues(report, now, word)
    return World(
        *(project, now, signal, archived, failed, run, trace, member, invitation, key, test, connection),
        *(alert, archived_alert, channel, report, issue, other_issue, make_schedule(agent, now, word)),
    )


def make_report(agent: Agent, trace: Trace, now: datetime, word: str) -> Run:
    """A report that waits, with all that it could have."""
    asked = Request(window_start=now - timedelta(days=1), window_end=now, prompt=f"Is it {word}?", engine="rules")
    run = requests.create(agent, asked, now)
    about = {"project": run.project, "agent": agent, "severity": "high", "category": "reliability", "created_at": now}
    finding = run.findings.create(rank=1, title=word, happens=word, fix=word, trace_count=1, trace_total=1, **about)
    finding.traces.create(trace_id=trace.trace_id)
    run.citations.create(
        finding=finding, position=1, text=trace.hex_id, trace_id=trace.trace_id, state="verified", quote=word
    )
    run.events.create(sequence=1, kind="started", text=word, created_at=now)
    return run


def make_issues(report: Run, now: datetime, word: str) -> tuple[Issue, Issue]:
    """One with two findings, and one without."""
    about: dict[str, Any] = {"now": now, "state_by_name": word, "note": word, "fixed_version": word, "signature": word}
    issue = make_issue(report.agent, title=f"Issue {word}", **about)
    make_finding(report, rank=2, title=f"Seen {word}", issue=issue, cost=Decimal(1))
    report.findings.filter(rank=1).update(issue=issue)
    return issue, make_issue(report.agent, title=f"Other {word}", **about)


def make_schedule(agent: Agent, now: datetime, word: str) -> Schedule:
    """A schedule with a report that has ended."""
    schedule = schedules.create(
        agent,
        schedules.Definition(title=f"Schedule {word}", frequency="daily", hours=[9], prompt=f"Is it {word}?"),
        now,
    )
    add_report(schedule, now)
    return schedule


def add_report(schedule: Schedule, now: datetime) -> None:
    run = schedules.run_now(schedule, now)
    Run.objects.filter(pk=run.pk).update(status="failed", error=schedule.title, ended_at=now)


def _make_alerts(signal: Signal, channel: Channel, now: datetime, word: str) -> tuple[Alert, Alert]:
    """One that fired, and an archived one."""
    alert = make_alert(signal, now=now - timedelta(days=1), name=f"Alert {word}", channels=[channel.pk])
    make_event(alert, now - timedelta(hours=1), reason=word)
    archived = make_alert(signal, now=now, name=f"Archived {word}")
    alert_operations.archive(archived, now)
    return alert, archived


def make_mail_channel(project: Project, word: str, now: datetime) -> Channel:
    """A channel that mails an address, which confirmed it."""
    address = f"{''.join(filter(str.isalnum, word))}@example.com"
    addresses = {"addresses": f"{address}, other@example.com"}
    channel = make_channel(project, f"Channel {word}", kind="email", settings=addresses, now=now)
    channel.recipients.filter(address=address).update(confirmed_at=now, link_due_at=None)
    return channel


def grow(world: World) -> None:
    """Three more of everything that lists show."""
    project, now, agent = world.project, world.now, world.signal.agent
    for number in range(11, 14):
        turn = (f"Question {number}?", "Answer.")
        make_trace(project, number, now=now, session=f"session-{SECRET}", said=turn, agent=agent.identity)
        make_trace(project, 10 * number, now=now, session=f"session-{number}", said=turn, agent=f"agent-{number}")
        make_label(world.signal, 100 + number, now=now)
        make_label(world.signal, 200 + number, now=now, value="yes")
        make_verdict(make_label(world.signal, 300 + number, now=now, status="failed", error="No."), now)
        make_verdict(world.label, now)
        more = make_report(agent, world.trace, now, f"Report {number}")
        make_issues(more, now, str(number))
        make_finding(more, rank=3, issue=world.issue)
        make_schedule(agent, now, str(number))
        add_report(world.schedule, now)
        signal = make_signal(agent, name=f"Signal {number}", active_since=now - timedelta(days=1))
        make_label(signal, 400 + number, now=now, value="yes")
        backfill.start(signal, start=now - timedelta(days=2), end=now, sample_rate=100, now=now)
        core_operations.add_member(project, user=User.objects.create_user(f"user-{number}"), role="member", by=SYSTEM)
        core_operations.invite(project, role="viewer", by=SYSTEM, now=now)
        core_operations.create_key(project, name=f"Key {number}", scopes=["read"], by=SYSTEM)
        make_connection(project, f"Connection {number}", now=now)
        channel = make_mail_channel(project, str(number), now)
        alert = make_alert(signal, now=now, name=f"Alert {number}", channels=[channel.pk])
        make_event(alert, now)
        make_event(world.alert, now - timedelta(minutes=number))
        key = f"event-{number}"
        notify(project.pk, "alert.fired", key, make_message(), [world.channel.pk], now=now)


def _signal(world: World) -> dict[str, Any]:
    return {"signal": world.signal.pk}


def _window(world: World) -> dict[str, Any]:
    return {"signal": world.signal.pk, "from": (world.now - timedelta(days=2)).isoformat()}


def _label(world: World) -> dict[str, Any]:
    return {"signal": world.signal.pk, "label": world.label.pk}


def _test(world: World) -> dict[str, Any]:
    return {"test": world.test.pk}


def _agent(world: World) -> dict[str, Any]:
    return {"agent": world.signal.agent.identity}


def _draft(world: World) -> dict[str, Any]:
    return {"agent": world.signal.agent.identity, "scope": "trace", "prompt": "Is it?"}


def _connection(world: World) -> dict[str, Any]:
    return {"connection": world.connection.pk}


def _alert(world: World) -> dict[str, Any]:
    return {"alert": world.alert.pk}


def _predicate(**about: Any) -> dict[str, Any]:
    return {
        "metric": "true_rate",
        "operator": "gte",
        "threshold": 0.2,
        "window": "1h",
        "comparison": "absolute",
        **about,
    }


def _channel(world: World) -> dict[str, Any]:
    return {"channel": world.channel.pk}


def _report(world: World) -> dict[str, Any]:
    return {"run": world.report.pk}


def _question(world: World) -> dict[str, Any]:
    """About the report, as if a model had written it."""
    written = {"engine": "model", "model_name": "gpt-4o-mini", "connection": world.connection, "text": "It fails."}
    Run.objects.filter(pk=world.report.pk).update(status="completed", ended_at=world.now, **written)
    return {"conversation": world.report.conversation_id, "prompt": "Since when?"}


def _issue(world: World) -> dict[str, Any]:
    return {"issue": world.issue.pk}


def _schedule(world: World) -> dict[str, Any]:
    return {"schedule": world.schedule.pk}


def _nothing(_: World) -> dict[str, Any]:
    return {}


def _calls(_: World) -> dict[str, Any]:
    return {"daily_calls": 5}


def _week(_: World) -> dict[str, Any]:
    return {"days": 7}


def _session(_: World) -> dict[str, Any]:
    return {"session": f"session-{SECRET}"}


def _trace(world: World) -> dict[str, Any]:
    return {"trace": world.trace.hex_id}


def _root(world: World) -> SpanRecord:
    return conversations.spans_of(world.trace)[0]


def _archived(_: World) -> dict[str, Any]:
    return {"include_archived": True}


def _two_reports(world: World) -> dict[str, Any]:
    """One of a schedule, and one before it."""
    return {"run": Run.objects.filter(schedule=world.schedule).order_by("pk")[0].pk, "other": world.report.pk}


EXAMPLES: Mapping[str, Callable[[World], dict[str, Any]]] = {
    "alerts.archive": _alert,
    "alerts.backtest": lambda world: _predicate(signal_id=world.signal.pk),
    "alerts.bulk": lambda world: {"alerts": [world.alert.pk], "action": "disable"},
    "alerts.create": lambda world: _predicate(signal_id=world.signal.pk, name="New"),
    "alerts.disable": _alert,
    "alerts.edit": lambda world: _predicate(alert=world.alert.pk, name=world.alert.name),
    "alerts.enable": _alert,
    "alerts.events": _alert,
    "alerts.list": _archived,
    "alerts.mute": lambda world: {"alert": world.alert.pk, "until": (world.now + timedelta(hours=1)).isoformat()},
    "alerts.show": _alert,
    "alerts.state": _alert,
    "alerts.unarchive": lambda world: {"alert": world.archived_alert.pk},
    "alerts.unmute": _alert,
    "audit.list": _nothing,
    "channels.ask": lambda world: {"channel": world.channel.pk, "address": "other@example.com"},
    "channels.choices": _channel,
    "channels.excerpts": lambda _world: {"shown": False},
    "channels.create": lambda _world: {"kind": "webhook", "name": "Another", "secrets": WEBHOOK},
    "channels.delete": lambda world: {"channel": world.channel.pk, "stop_users": True},
    "channels.deliveries": _channel,
    "channels.disable": _channel,
    "channels.edit": lambda world: {"channel": world.channel.pk, "name": "Renamed"},
    "channels.enable": _channel,
    "channels.list": _nothing,
    "channels.show": _channel,
    "channels.test": _channel,
    "halo.cancel": _report,
    "halo.events": _report,
    "halo.follow_up": _question,
    **dict.fromkeys((f"halo.issue{verb}" for verb in ("", "_acknowledge", "_assign", "_fix", "_reopen")), _issue),
    "halo.issue_dismiss": lambda world: _issue(world) | {"why": "It is a test."},
    "halo.issue_merge": lambda world: _issue(world) | {"into": world.other_issue.pk},
    "halo.issue_split": lambda world: {"finding": world.issue.findings.order_by("pk")[0].pk},
    "halo.issues": _nothing,
    "halo.list": _nothing,
    "halo.preview": _agent,
    "halo.run": _agent,
    **dict.fromkeys((f"halo.schedule_{verb}" for verb in ("archive", "disable", "enable", "runs")), _schedule),
    **dict.fromkeys((f"halo.schedule_{verb}" for verb in ("run_now", "show", "unarchive")), _schedule),
    "halo.schedule_create": lambda world: _agent(world) | {"title": "New", "frequency": "hourly"},
    "halo.schedule_list": _archived,
    "halo.schedule_update": lambda world: _schedule(world) | {"title": "Renamed"},
    "halo.compare": _two_reports,
    "halo.show": _report,
    "halo.verify": lambda world: _report(world) | {"since": (world.now - timedelta(hours=1)).isoformat()},
    "invitations.create": _nothing,
    "invitations.list": _nothing,
    "invitations.revoke": lambda world: {"invitation": world.invitation.pk},
    "keys.create": lambda world: {"name": f"Key of {world.project.slug}", "scopes": ["read"]},
    "keys.limit": lambda world: {"key": world.key.pk, "requests": 5},
    "keys.list": _nothing,
    "keys.origins": lambda world: {"key": world.key.pk, "origins": []},
    "keys.revoke": lambda world: {"key": world.key.pk},
    "members.list": _nothing,
    "members.remove": lambda world: {"member": world.member.pk},
    "members.role": lambda world: {"member": world.member.pk, "role": "viewer"},
    "models.create": lambda _world: {"provider": "openai", "name": "Another", "key": "sk-another"},
    "models.delete": _connection,
    "models.edit": lambda world: {"connection": world.connection.pk, "concurrency": 2},
    "models.list": _nothing,
    "models.replace_key": lambda world: {"connection": world.connection.pk, "key": "sk-new"},
    "models.revoke": _connection,
    "models.test": _connection,
    "project.create": lambda world: {"name": "Another", "owner": world.member.user.username},
    "project.list": _nothing,
    "project.rename": lambda world: {"name": f"{world.project.name} again"},
    "project.retention": _week,
    "project.show": _nothing,
    "signals.activate": _signal,
    "signals.archive": _signal,
    "signals.backfill": _window,
    "signals.budgets": _nothing,
    "signals.bulk": lambda world: {"signals": [world.signal.pk], "action": "disable"},
    "signals.cancel_run": lambda world: {"run": world.run.pk},
    "signals.cancel_test": _test,
    "signals.cap": lambda world: {"signal": world.signal.pk, "daily_calls": 5},
    "signals.cap_project": _calls,
    "signals.catch_up": _signal,
    "signals.catch_up_project": _nothing,
    "signals.compare": _signal,
    "signals.coverage": _signal,
    "signals.create": lambda world: {
        "agent": world.signal.agent.identity,
        "name": "New",
        "scope": "trace",
        "prompt": "Is it?",
    },
    "signals.disable": _signal,
    "signals.distribution": _window,
    "signals.duplicate": _signal,
    "signals.edit": lambda world: {"signal": world.signal.pk, "sample_rate": 50},
    "signals.exchange": _label,
    "signals.explain": _trace,
    "signals.export": _signal,
    "signals.held_back": _signal,
    "signals.held_back_project": _nothing,
    "signals.label": _label,
    "signals.labels": _signal,
    "signals.list": _archived,
    "signals.preview": _window,
    "signals.prompt": _signal,
    "signals.prompt_draft": _draft,
    "signals.queue": _signal,
    "signals.rates": _agent,
    "signals.rename": lambda world: {"signal": world.signal.pk, "name": "Renamed"},
    "signals.restore": lambda world: {"signal": world.signal.pk, "number": 1},
    "signals.retry": _signal,
    "signals.retry_label": _label,
    "signals.runs": _nothing,
    "signals.show": _signal,
    "signals.test": _signal,
    "signals.test_draft": _draft,
    "signals.test_exchange": lambda world: {"test": world.test.pk, "item": world.test.items.get().pk},
    "signals.test_results": _test,
    "signals.traffic": _agent,
    "signals.unarchive": lambda world: {"signal": world.archived.pk},
    "signals.versions": _signal,
    "traces.agent": _agent,
    "traces.agents": _nothing,
    "traces.duplicates": _nothing,
    "traces.facets": _nothing,
    "traces.identities": _agent,
    "traces.list": _nothing,
    "traces.merge_agents": lambda world: {"agents": ["twin"], "into": world.signal.agent.identity},
    "traces.merge_duplicates": _nothing,
    "traces.overview": _nothing,
    "traces.session": _session,
    "traces.sessions": _nothing,
    "traces.show": _trace,
    "traces.span": lambda world: {"trace": world.trace.hex_id, "span": hex_span_id(_root(world).span_id)},
    "traces.split_agent": lambda _world: {"identity": "joined"},
    "traces.transcript": _trace,
}
