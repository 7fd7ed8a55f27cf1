"""Nothing of a project shows in another one, or is changed by it, though both have the same ids and keys."""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from difflib import ndiff
from functools import partial
from typing import Any
from urllib.parse import urlencode

import pytest
import time_machine
from django.db import connection, transaction
from django.http import HttpResponseBase
from django.test import Client
from django.urls import reverse

from alerts.models import Alert
from catalyst.agents.models import Agent
from catalyst.core.models import AuditEntry, Project, User
from catalyst.core.operation_context import Context, for_system
from catalyst.operations import Effect, InvalidInput, Operation, all_operations
from catalyst.registry import Retention, entries
from signals import operations
from signals.definitions.definition import Definition
from signals.models import Exchange, Label, Signal
from signals.targets.scopes import load_inputs, targets_of
from tests.factories import LATER, make_agent, make_signal, settle_all
from tests.operation_examples import EXAMPLES, SECRET
from tests.page import Page
from tests.rows import stored_rows
from tests.test_urls import TABLE, URLS
from tests.traces.sent import sent_span
from tests.twins import (
    AGENT,
    CALL,
    FIRST,
    SCOPES,
    SESSION,
    Twin,
    arguments_of,
    ask_everything,
    make_twin,
    queries_of,
    send,
)
from traces.filters import Filter
from traces.ingest import pipeline
from traces.models import AgentHour, AgentHourCalls, AgentHourLatency, Payload, Session, Span, Trace

pytestmark = [pytest.mark.slow, pytest.mark.django_db]

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
MINE, THEIRS = SECRET, "plugh"
WORDS = (MINE, THEIRS)
LISTS = ("traces:trace-list", "traces:session-list")
OF_A_PROJECT = [operation for operation in all_operations() if operation.caller is Context]


@pytest.fixture
def alice_browser(client_as: Callable[[User], Client], alice: User) -> Iterator[Client]:
    """The owner's browser, on the day of the tests."""
    with time_machine.travel(NOW, tick=False):
        yield client_as(alice)


@pytest.fixture
def mine(project: Project, alice: User) -> Twin:
    return make_twin(project, alice, MINE, NOW)


def add_theirs(other_project: Project, charlie: User) -> Twin:
    """The same in the other project, only more of it and with the other answer."""
    return make_twin(other_project, charlie, THEIRS, NOW, value="no", traces=range(FIRST, FIRST + 3))


def text_of(response: HttpResponseBase) -> str:
    """What a response says, without what is new in each of them."""
    body = response.getvalue().decode(errors="replace")
    body = re.sub(r'(csrfmiddlewaretoken" value=|x-csrftoken": |nonce=)"[^"]*"', "", body)
    return f"{response.status_code} {response.headers.get('Location', '')} {body}"


def pages_of(browser: Client, twin: Twin) -> dict[str, str]:
    return {url: text_of(response) for url, response in ask_everything(browser, twin, WORDS)}


def differences(before: dict[str, str], after: dict[str, str]) -> dict[str, list[str]]:
    """The lines that differ, by address."""
    changed = {url: (before[url].splitlines(), text.splitlines()) for url, text in after.items() if text != before[url]}
    return {url: [line for line in ndiff(*texts) if line[0] in "+-"] for url, texts in changed.items()}


def read(twin: Twin) -> dict[str, str]:
    """What every operation that reads returns."""
    caller = for_system(twin.project, NOW)
    reading = [operation for operation in OF_A_PROJECT if operation.effect == Effect.READS]
    return {
        operation.name: operation.dump(operation.call(caller, EXAMPLES[operation.name](twin.world))).decode()
        for operation in reading
    }


def test_its_pages_and_operations_answer_the_same_beside_a_project_with_the_same_ids(
    alice_browser: Client, mine: Twin, other_project: Project, charlie: User
) -> None:
    pages, results = pages_of(alice_browser, mine), operations_of(mine)
    assert {url: text[:3] for url, text in pages.items() if text[:3] != "200"} == {}
    add_theirs(other_project, charlie)
    with connection.cursor() as cursor:
        # Among more rows the database may choose another plan, which must change no order.
        cursor.execute("SET LOCAL enable_hashagg = off")
    assert differences(pages, pages_of(alice_browser, mine)) == {}
    assert differences(results, operations_of(mine)) == {}


def operations_of(twin: Twin) -> dict[str, str]:
    """What its operations read. The exports that its pages made are forgotten: the audit log has them."""
    AuditEntry.objects.filter(action__startswith="exported").delete()
    found = read(twin)
    AuditEntry.objects.filter(action__startswith="exported").delete()
    return found


def test_an_empty_project_stays_empty_beside_a_full_one(
    alice_browser: Client, project: Project, other_project: Project, charlie: User
) -> None:
    of_lists = [name for name, row in TABLE.items() if URLS[name] and not row.about]
    urls = [reverse(name, kwargs={"project": project.slug}) for name in of_lists]
    pages = {url: text_of(alice_browser.get(url)) for url in urls}
    add_theirs(other_project, charlie)
    assert differences(pages, {url: text_of(alice_browser.get(url)) for url in urls}) == {}


def test_its_pages_and_operations_find_what_is_its_own_where_another_project_had_the_ids_first(
    client_as: Callable[[User], Client], mine: Twin, other_project: Project, charlie: User
) -> None:
    theirs = add_theirs(other_project, charlie)
    with time_machine.travel(NOW, tick=False):
        asked = ask_everything(client_as(charlie), theirs, [THEIRS])
        shown = {url: text_of(response) for url, response in asked}
    shown |= {name: f"200 {result}" for name, result in read(theirs).items()}
    # Both know the key of the agent and of the session.
    known = {name: text.replace(AGENT, "").replace(SESSION, "") for name, text in shown.items()}
    assert {name: text for name, text in known.items() if MINE in text or text[:3] != "200"} == {}
    assert sum(THEIRS in text for text in known.values()) > 100


def test_a_query_that_names_rows_of_another_project_finds_nothing(
    alice_browser: Client, mine: Twin, other_project: Project, charlie: User
) -> None:
    theirs = add_theirs(other_project, charlie)
    agent, session = theirs.world.signal.agent_id, theirs.session.pk
    lists: list[dict[str, Any]] = [{"agent": agent}]
    for signal in theirs.signals.values():
        lists += [{"label": str(signal.pk)}, {"label": f"{signal.pk}:no"}]
    others: list[dict[str, Any]] = [
        {"run": theirs.world.run.pk},
        *({"at": label.pk} for label in theirs.labels.values()),
    ]
    others += [{"by": signal.pk} for signal in theirs.signals.values()]
    others += [{"q": f"{FIRST + 1:032x}"}, {"q": THEIRS[:3]}]
    arguments = arguments_of(mine)
    for name in queries_of(mine, WORDS):
        address = reverse(name, kwargs=arguments[TABLE[name].about] | {"project": mine.project.slug})
        for query in (*lists, {"session": session}, *others):
            response = alice_browser.get(f"{address}?{urlencode(query)}")
            assert THEIRS not in text_of(response), (name, query)
            assert response.status_code == 200, (name, query)
            if name in LISTS and (query in lists or ("session" in query and name == "traces:trace-list")):
                assert Page(response.text).part("main").rows == [], (name, query)


def test_a_form_that_names_rows_of_another_project_changes_and_shows_nothing_of_it(
    alice_browser: Client, mine: Twin, other_project: Project, charlie: User
) -> None:
    before = stored_rows()
    theirs = add_theirs(other_project, charlie)
    rows = stored_rows() - before
    own, foreign = mine.signals["trace"], theirs.signals["trace"]
    asked: dict[str, Any] = {
        "name": "New",
        "scope": "trace",
        "type": "binary",
        "prompt": "Is it?",
        "sample_rate": 100,
        "test_count": 5,
    }
    of_agent = asked | {"agent": foreign.agent_id}
    of_alert = {"signal": foreign.pk, "metric": "true_rate", "comparison": "absolute", "operator": "gte"}
    of_alert |= {"threshold": "5", "window": "1h", "min_label_count": "0", "cooldown_minutes": "0"}
    of_numbers = {**of_alert, "signal": "", "agent": foreign.agent_id, "metric": "runs"}
    channel = theirs.world.alert.channels.get().pk
    forms: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("signals:signal-create", {}, of_agent),
        ("signals:signal-duplicate", {"pk": own.pk}, {"name": "Copy", "agent": foreign.agent_id}),
        *(("signals:signal-bulk", {}, {"signal": foreign.pk, "do": do}) for do in ("activate", "disable", "archive")),
        ("signals:signal-bulk", {}, {"signal": foreign.pk, "do": "archive", "sure": "1"}),
        *((f"signals:{name}", {}, of_agent) for name in ("trial-run", "prompt-show", "judge-show")),
        *((f"signals:{name}", {}, asked | {"signal": foreign.pk}) for name in ("trial-run", "prompt-show")),
        ("alerts:alert-create", {}, of_alert),
        ("alerts:alert-create", {}, of_numbers),
        *(
            ("alerts:alert-bulk", {}, {"alert": theirs.world.alert.pk, "do": do})
            for do in ("mute", "archive", "disable")
        ),
        ("alerts:alert-bulk", {}, {"alert": theirs.world.alert.pk, "do": "archive", "sure": "1"}),
        ("alerts:alert-edit", {"pk": mine.world.alert.pk}, of_alert | {"signal": own.pk, "channels": [channel]}),
        ("alerts:backtest-show", {}, of_alert),
        ("alerts:backtest-show", {}, of_numbers),
        ("signals:trial-run", {}, asked | {"agent": own.agent_id, "again": theirs.own_test.pk}),
        ("signals:prompt-show", {}, asked | {"agent": own.agent_id, "target": f"{FIRST + 1:032x}"}),
    ]
    alerts = Alert.objects.count()
    for name, arguments, data in forms:
        response = alice_browser.post(reverse(name, kwargs=arguments | {"project": mine.project.slug}), data)
        assert THEIRS not in text_of(response), (name, data)
        assert rows - stored_rows() == set(), (name, data)
        assert not Signal.objects.filter(name__in=["New", "Copy"]).exists(), (name, data)
        assert Alert.objects.count() == alerts, (name, data)


def writes(twin: Twin) -> Iterator[tuple[str, Callable[[], object]]]:
    """Everything that somebody may do in the project."""
    caller = for_system(twin.project, NOW)

    def call(operation: Operation) -> object:
        with suppress(InvalidInput):
            return operation.call(caller, EXAMPLES[operation.name](twin.world))
        return None

    for operation in OF_A_PROJECT:
        if operation.effect != Effect.READS:
            yield operation.name, partial(call, operation)
    later = NOW + timedelta(minutes=1)
    fuller = sent_span(
        CALL, 1, trace=FIRST, start=NOW, seconds=9, openinference__span__kind="LLM", input__value="Fuller.",
        agent__id=AGENT, agent__name="Renamed", session__id="elsewhere", llm__token_count__prompt=99,
    )  # fmt: skip
    root = sent_span(1, trace=FIRST, start=NOW, seconds=9, session__id="elsewhere", agent__id=AGENT)
    yield "a fuller span", lambda: pipeline.store(twin.project.pk, [fuller], later)
    yield "a trace that moves", lambda: pipeline.store(twin.project.pk, [root], later)
    narrower = Definition("binary", "Else?", 100, filter=Filter(environment="elsewhere"))
    for scope, signal in twin.signals.items():
        yield f"edit of a {scope} signal", partial(operations.publish_version, signal, narrower)


def test_what_is_done_in_a_project_changes_nothing_in_another_one_with_the_same_ids(
    mine: Twin, other_project: Project, charlie: User
) -> None:
    before = stored_rows()
    add_theirs(other_project, charlie)
    everything = stored_rows()
    theirs = everything - before
    assert len(theirs) > 100
    changed, effective = {}, 0
    for name, write in writes(mine):
        with transaction.atomic():
            write()
            after = stored_rows()
            transaction.set_rollback(True)
        changed[name] = theirs - after
        effective += after != everything
    assert {name: rows for name, rows in changed.items() if rows} == {}
    assert effective > 20


def send_what_is_odd(project: Project) -> None:
    """A trace of the future, and a session whose only trace moved to another one."""
    moving = [sent_span(2, 1, trace=71, start=NOW, session__id="emptied")]
    moved = [sent_span(1, trace=71, start=NOW, session__id=SESSION)]
    for spans in ([sent_span(1, trace=72, start=datetime(2039, 1, 1, tzinfo=UTC))], moving, moved):
        pipeline.store(project.pk, spans, NOW)


# They go after a day or three in every project.
GO_WITH_THEIR_DAY = ("signals_signaltest", "signals_signaltestitem", "traces_agentminute")


def test_what_expires_in_a_project_stays_in_another_one_with_the_same_ids(
    mine: Twin, other_project: Project, charlie: User
) -> None:
    send_what_is_odd(mine.project)
    before = stored_rows()
    add_theirs(other_project, charlie)
    send_what_is_odd(other_project)
    theirs = {row for row in stored_rows() - before if not row.startswith(GO_WITH_THEIR_DAY)}
    Project.objects.filter(pk=mine.project.pk).update(retention_days=7)
    for entry in entries(Retention):
        while entry.delete(NOW + 9 * DAY):
            pass
    assert theirs - stored_rows() == set()
    for model in (Span, Payload, Trace, Session, Exchange):
        left = set(model.objects.values_list("project_id", flat=True))
        assert left == {other_project.pk}, model


def test_what_arrives_names_the_agent_and_the_session_of_its_own_project(
    project: Project, other_project: Project
) -> None:
    projects = {project.pk: MINE, other_project.pk: THEIRS}
    for number in range(2):
        for pk, word in projects.items():
            send(Project.objects.get(pk=pk), word, NOW, [FIRST + number])
            pipeline.store(pk, [sent_span(1, trace=90 + number, start=NOW, agent__name="called the same")], NOW)
    owners: dict[int | None, int] = dict(Agent.objects.values_list("pk", "project_id"))
    for model in (Trace, Session, Span, AgentHour, AgentHourLatency, AgentHourCalls):
        rows = model.objects.filter(agent_id__isnull=False).values_list("project_id", "agent_id")
        assert {(project_id, owners[agent_id]) for project_id, agent_id in rows} == {(pk, pk) for pk in projects}, model
    sessions = Trace.objects.filter(session__isnull=False).values_list("project_id", "session__project_id")
    assert set(sessions) == {(pk, pk) for pk in projects}
    agents = Agent.objects.filter(identity=AGENT).values_list("project_id", "name")
    assert dict(agents) == {pk: f"Agent {word}" for pk, word in projects.items()}


def test_a_judge_reads_the_target_of_its_own_project(project: Project, other_project: Project) -> None:
    for each, word in ((project, MINE), (other_project, THEIRS)):
        for scope in SCOPES:
            make_signal(make_agent(each, AGENT), scope=scope, active_since=NOW)
        send(each, word, NOW)
    settle_all(NOW)
    texts = {(job.project_id, job.scope): repr(read()) for job, read in load_inputs(list(Label.objects.all()))}
    assert len(texts) == 6
    for (project_id, _), text in texts.items():
        own, other = WORDS if project_id == project.pk else WORDS[::-1]
        # Both know the key of the agent and of the session.
        shown = text.replace(AGENT, "").replace(SESSION, "")
        assert own in shown
        assert other not in shown


FILTERS = (
    lambda word: {"environment": word},
    lambda word: {"service": word},
    lambda word: {"model": f"model-{word}"},
    lambda word: {"attributes": {"tenant": word}},
)


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("wanted", FILTERS, ids=["environment", "service", "model", "attributes"])
def test_a_filter_looks_at_its_own_project(
    project: Project, other_project: Project, scope: str, wanted: Callable[[str], dict[str, Any]]
) -> None:
    filters = [Filter.parse(wanted(word)) for word in WORDS]
    agent = make_agent(project, AGENT)
    asked = [make_signal(agent, scope=scope, traffic_filter=each, active_since=NOW) for each in filters]
    waiting = make_signal(agent, scope=scope, active_since=NOW)
    send(project, MINE, NOW)
    send(other_project, THEIRS, NOW)
    settle_all(NOW)
    # Only one of the two calls of a trace names the model.
    count = 2 if scope == "span" and not filters[0].model else 1
    assert [Label.objects.filter(signal=signal).count() for signal in asked] == [count, 0]
    found = []
    for each in filters:
        targets = targets_of(scope)(agent, NOW - DAY, NOW + LATER, each)
        keys = [target.target_key for chunk in targets.chunks() for target in chunk.targets]
        found.append((targets.count(), len(targets.newest(5)), len(keys), len(targets.among(keys))))
        version = operations.publish_version(waiting, Definition("binary", "Else?", 100, filter=each))
        assert Label.objects.filter(version=version).count() == len(keys)
    assert found == [(count,) * 4, (0,) * 4]
