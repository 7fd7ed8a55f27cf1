"""Two projects with the same ids and keys, and different content."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpResponseBase
from django.test import Client
from django.urls import reverse

from catalyst.agents.models import Agent
from catalyst.core.actor import Actor
from catalyst.core.models import Project, User
from catalyst.llms.amounts import Cap
from catalyst.llms.models import Budget
from halo.models import Finding
from signals import operations
from signals.models import Label, Signal, SignalTest
from signals.runs import signal_tests
from tests.factories import (
    give,
    make_citation,
    make_finding,
    make_issue,
    make_run,
    make_signal,
    make_verdict,
    settle_all,
)
from tests.operation_examples import SECRET, World, make_world
from tests.pictures import data_uri, digest_of, png
from tests.test_urls import TABLE, URLS
from tests.traces.sent import sent_span
from traces.ingest import pipeline
from traces.models import Session
from traces.models.span import hex_span_id

AGENT, SESSION = f"agent-{SECRET}", f"session-{SECRET}"
SCOPES = ("span", "trace", "session")
ROOT, CALL, TOOL, SECOND_CALL = 1, 2, 3, 4
FIRST, NAMELESS = 5, 50
FIRST_ID = UUID(int=FIRST)


@dataclass(frozen=True)
class Twin:
    """One of them: its word is in every text."""

    world: World
    word: str
    signals: dict[str, Signal]
    labels: dict[str, Label]
    session: Session
    own_test: SignalTest
    finding: Finding

    @property
    def project(self) -> Project:
        return self.world.project


def send(project: Project, word: str, now: datetime, traces: Sequence[int] = (FIRST,)) -> None:
    """Store traces of one session, and one that names neither agent nor session. All text has the word."""
    said: dict[str, Any] = {"agent__id": AGENT, "agent__name": f"Agent {word}", "session__id": SESSION, "tenant": word}
    about: dict[str, Any] = {
        "start": now - timedelta(seconds=2),
        "resource": {"service.name": word, "deployment.environment.name": word},
    }
    kind = "openinference__span__kind"
    tokens = {"llm__token_count__prompt": 10 * len(word), "llm__token_count__completion": len(word)}
    spans = [sent_span(ROOT, trace=NAMELESS, seconds=len(word), name=f"Nameless {word}", **about)]
    for trace in traces:
        root: dict[str, Any] = {
            kind: "AGENT",
            "user__id": word,
            "input__value": f"Asked {word}",
            "output__value": f"Told {word}",
        }
        call: dict[str, Any] = {kind: "LLM", "llm__model_name": f"model-{word}", "input__value": f"To {word}", **tokens}
        second: dict[str, Any] = {kind: "LLM", "llm__model_name": f"second-{word}", "input__value": data_uri(png())}
        tool: dict[str, Any] = {kind: "TOOL", "tool__name": f"tool-{word}", "input__value": f"Looked for {word}"}
        spans += [
            sent_span(ROOT, trace=trace, seconds=len(word), name=f"Root {word}", **about, **said, **root),
            sent_span(CALL, ROOT, trace=trace, output__value=f"From {word}", **about, **said, **call),
            sent_span(SECOND_CALL, ROOT, trace=trace, output__value=f"Again {word}", **about, **said, **second),
            sent_span(TOOL, ROOT, trace=trace, status="error", **about, **said, **tool),
        ]
        spans[-1].status_message = f"No {word}"
    pipeline.store(project.pk, spans, now)


def make_twin(
    project: Project, owner: User, word: str, now: datetime, *, value: str = "yes", traces: Sequence[int] = (FIRST,)
) -> Twin:
    """Fill a project with one of everything. `value`: the label of its targets."""
    since = now - timedelta(days=1)
    world = make_world(project, now, word)
    operations.cap_project(project, Cap(calls=1), now)
    Budget.objects.update(calls=1, spent=Decimal(0), day=now.date())
    about: dict[str, Any] = {"prompt": f"Is it {word}?", "active_since": since}
    agent = world.signal.agent
    signals = {scope: make_signal(agent, name=f"{scope} {word}", scope=scope, **about) for scope in SCOPES}
    send(project, word, now, traces)
    settle_all(now)
    labels = {}
    for scope, signal in signals.items():
        give(signal, value, now=now)
        Label.objects.filter(signal=signal).update(reason=f"Because {word}.")
        labels[scope] = Label.objects.filter(signal=signal).order_by("-target_key")[0]
        make_verdict(labels[scope], now, value, answer=f"Said {word}")
    version = world.signal.current_version
    assert version is not None
    sample = signal_tests.sample_newest(version, 2, since, now + timedelta(minutes=1))
    test = signal_tests.start_test(version, sample, now, Actor(owner))
    test.items.update(exchange=world.test.items.get().exchange)
    session = Session.objects.get(project=project, key=SESSION)
    return Twin(world, word, signals, labels, session, test, make_report(agent, word, now))


def make_report(agent: Agent, word: str, now: datetime) -> Finding:
    """The only finding of a report, which cites a trace."""
    run = make_run(agent, now=now, asked={"prompt": f"Is it {word}?"}, lede=word, text=word, notes=[word])
    texts: dict[str, Any] = {"title": f"Finding {word}", "happens": word, "evidence": word, "fix": word}
    finding = make_finding(run, [FIRST_ID], issue=make_issue(agent, now=now, title=f"Issue {word}"), **texts)
    make_citation(run, finding, FIRST_ID, CALL, quote=word, note=word)
    return finding


def arguments_of(twin: Twin) -> dict[str, dict[str, Any]]:
    """The arguments of URLs in the project, by what they are about in `tests.test_urls.TABLE`."""
    world, label = twin.world, twin.labels["trace"]
    verdict, trace = label.verdicts.get(), twin.project.traces.get(trace_id=FIRST_ID)
    return {
        "": {},
        "invitation": {"pk": world.invitation.pk},
        "membership": {"pk": world.member.pk},
        "key": {"pk": world.key.pk},
        "connection": {"pk": world.connection.pk},
        "channel": {"pk": world.channel.pk},
        "recipient": {"pk": world.channel.pk, "recipient": world.channel.recipients.order_by("pk")[0].pk},
        "agent": {"pk": world.signal.agent_id},
        "alert": {"pk": world.alert.pk},
        "report": {"pk": twin.finding.run_id},
        "schedule": {"pk": world.schedule.pk},
        "finding": {"pk": twin.finding.run_id, "rank": twin.finding.rank},
        "issue": {"pk": twin.finding.issue_id},
        "session": {"pk": twin.session.pk},
        "trace": {"trace_id": trace.trace_id},
        "picture": {"trace_id": trace.trace_id, "span_id": hex_span_id(SECOND_CALL), "digest": digest_of(png())},
        "stored trace": {"pk": trace.pk},
        "stored span": {"trace_id": trace.trace_id, "span_id": hex_span_id(CALL)},
        "signal": {"pk": twin.signals["trace"].pk},
        "version": {"pk": world.signal.pk, "number": 1},
        "test": {"pk": twin.own_test.pk},
        "test item": {"pk": twin.own_test.pk, "item": twin.own_test.items.order_by("position")[0].pk},
        "run": {"pk": world.run.version.signal_id, "run": world.run.pk},
        "label": {"pk": label.signal_id, "label": label.pk},
        "exchange": {"pk": label.signal_id, "label": label.pk, "verdict": verdict.pk},
    }


def queries_of(twin: Twin, words: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """In which ways pages can be asked for, by the names of their URLs. `words`: to filter by."""
    now, signals, labels = twin.world.now, twin.signals, twin.labels
    listed: list[dict[str, Any]] = [
        *({name: word} for name in ("environment", "service", "q") for word in words),
        *({"model": f"model-{word}"} for word in words),
        *({"attribute": f"tenant={word}"} for word in words),
        *({"label": f"{signal.pk}:yes"} for signal in signals.values()),
        {"label": f"{twin.world.signal.pk}!waiting"},
        {"agent": twin.world.signal.agent_id},
        {"finding": twin.finding.pk},
        {"range": "1h"},
        {"newer": f"{(now - timedelta(days=1)).isoformat()}_1"},
    ]
    span: dict[str, Any] = {"span": hex_span_id(CALL)}
    return {
        "traces:trace-list": [*listed, {"session": twin.session.pk}, {"q": f"{FIRST:032x}"}],
        "traces:session-list": [*listed, {"key": SESSION}],
        "traces:agent-detail": [{"range": "1h"}, {"by": signals["trace"].pk}, {"by": signals["session"].pk}],
        "traces:agent-sessions": listed,
        "traces:agent-traces": listed,
        "traces:trace-detail": [
            *({**span, "pane": pane} for pane in ("io", "attributes", "events", "labels")),
            {"at": labels["trace"].pk},
        ],
        "traces:session-detail": [{"at": labels["session"].pk}],
        "alerts:alert-list": [{"state": "firing"}, {"q": words[0]}, {"archived": 1}],
        "alerts:alert-create": [
            {"signal": signals["trace"].pk, "label": "yes", "range": "7d"},
            {"agent": signals["trace"].agent_id},
        ],
        "alerts:alert-detail": [{"kind": "fired"}, {"range": "7d"}],
        "halo:agent-analysis": [{"range": "7d"}, {"after": f"{now.isoformat()}_{twin.finding.run_id + 1}"}],
        "halo:issue-list": [{"agent": twin.world.signal.agent_id}, {"state": "any"}],
        "halo:report-create": [{"again": twin.finding.run_id}, {"finding": twin.finding.pk}, {"environment": words[0]}],
        "halo:verify": [{"since": f"{now - timedelta(hours=1):%Y-%m-%dT%H:%M}"}],
        "halo:verify-issue": [{"since": f"{now - timedelta(hours=1):%Y-%m-%dT%H:%M}"}],
        "halo:report-list": [{"agent": twin.world.signal.agent_id}, {"status": "open"}, {"engine": "model"}],
        "signals:trace-absences": [{**span}],
        "signals:signal-list": [{"sort": "volume"}, {"archived": 1}],
        "signals:signal-detail": [
            {"label": "yes"}, {"status": "waiting"}, {"q": "Because"}, {"version": 1}, {"show": "share"},
        ],
        "signals:label-export": [{"as": "jsonl"}],
        "signals:run-preview": [
            {"start": f"{now - timedelta(days=1):%Y-%m-%dT%H:%M}", "end": f"{now:%Y-%m-%dT%H:%M}", "sample_rate": 100}
        ],
        "signals:lately-show": [{"agent": twin.world.signal.agent_id}],
    }  # fmt: skip


def ask_everything(browser: Client, twin: Twin, words: Sequence[str]) -> Iterator[tuple[str, HttpResponseBase]]:
    """Every page of the project as its owner sees it, with its address."""
    arguments, queries = arguments_of(twin), queries_of(twin, words)
    for name in (name for name, row in TABLE.items() if URLS[name] and row.status("get", "owner") == 200):
        address = reverse(name, kwargs=arguments[TABLE[name].about] | {"project": twin.project.slug})
        for query in ({}, *queries.get(name, ())):
            url = f"{address}?{urlencode(query)}"
            headers = {"HX-Request": "true"} if "newer" in query else {}
            yield url, browser.get(url, headers=headers, follow=True)
    for name in ("signal-detail", "label-export"):
        for signal in twin.signals.values():
            url = reverse(f"signals:{name}", kwargs={"project": twin.project.slug, "pk": signal.pk})
            yield url, browser.get(url)
