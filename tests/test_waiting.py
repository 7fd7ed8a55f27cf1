"""Who waits for whom: work takes what nobody holds, locks rows in one order, and comes after who was first."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, transaction

from catalyst.core import operations as core_operations
from catalyst.core.actor import SYSTEM, Actor
from catalyst.core.models import Project, User
from catalyst.llms import availability
from catalyst.llms.amounts import Account, Calls, Cap
from catalyst.llms.availability import Outage
from catalyst.llms.models import Budget, JudgeHealth
from signals import operations
from signals.definitions.definition import Definition
from signals.judging import claims
from signals.judging.calls import CallResult
from signals.judging.worker import LEASE, finish
from signals.models import (
    Label,
    LabelHalfDay,
    LabelHour,
    LabelMinute,
    SettledMinute,
    Signal,
    SignalRun,
    SignalTest,
    SignalTestItem,
)
from signals.models.folding import FoldingQuerySet
from signals.runs import backfill, signal_tests
from signals.targets import settling
from tests.factories import AGENT, LATER, make_agent, make_labels, make_session, make_signal, make_trace, make_traces
from tests.locks import SECONDS, held, nobody_waits, waiting
from tests.traces.sent import sent_span
from traces import retention
from traces.ingest import pipeline, settle_queue
from traces.models import AgentHour, Session, Trace, Unsettled
from traces.otlp import DecodedSpan

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
ELSE = Definition("binary", "Else?", 100)


@pytest.fixture
def signal(project: Project, now: datetime) -> Signal:
    return make_signal(make_agent(project), active_since=now - DAY)


@dataclass(frozen=True)
class Shared:
    """Work of which another connection holds a part.

    `work` returns how much it did. `part`: SQL of the rows that are held. `rest`: how much is left.
    """

    part: str
    work: Callable[[], int]
    rest: int


def settle_two(signal: Signal, now: datetime) -> Shared:
    make_traces(signal.project, (1, 2), now=now)
    Unsettled.objects.exclude(scope="trace").delete()
    first = Trace.objects.get(trace_id=UUID(int=1)).pk
    return Shared(f"traces_unsettled WHERE target_id = {first}", lambda: settling.settle(now + LATER).labels, 1)


def claim_three(signal: Signal, now: datetime) -> Shared:
    first = make_labels(signal, signal.project, 3, now=now)[0]
    return Shared(f"signals_label WHERE id = {first.pk}", lambda: len(claims.claim(9, LEASE, now + DAY)), 2)


def claim_of_a_run(signal: Signal, now: datetime) -> Shared:
    shared = claim_three(signal, now)
    Label.objects.update(run=run_of(signal, now))
    return shared


def run_of(signal: Signal, now: datetime, state: str = "judging") -> SignalRun:
    version = signal.current_version
    assert version is not None
    return SignalRun.objects.create(version=version, window_start=now, window_end=now, sample_rate=100, state=state)


def items_of_tests(signal: Signal, now: datetime) -> Shared:
    make_traces(signal.project, range(1, 4), now=now)
    start_test(signal, now)
    first = SignalTestItem.objects.order_by("position")[0]
    return Shared(
        f"signals_signaltestitem WHERE id = {first.pk}", lambda: len(claims.claim_test_items(9, LEASE, now)), 2
    )


def start_test(signal: Signal, now: datetime) -> SignalTest:
    version = Signal.objects.get(pk=signal.pk).current_version
    assert version is not None
    sample = signal_tests.sample_newest(version, 3, now - DAY, now + MINUTE)
    return signal_tests.start_test(version, sample, now)


def empty_sessions(signal: Signal, now: datetime) -> Shared:
    for number in range(1, 4):
        make_session(signal.project, f"s{number}", turns=1, first=number, now=now - 40 * DAY)
    Trace.objects.all().delete()
    Session.objects.update(trace_count=0)
    first = Session.objects.order_by("pk")[0]
    return Shared(f"traces_session WHERE id = {first.pk}", lambda: retention.delete_expired_traces(now), 2)


def old_traces(signal: Signal, now: datetime) -> Shared:
    make_traces(signal.project, range(1, 4), now=now - 40 * DAY)
    first = Trace.objects.order_by("pk")[0]
    return Shared(f"traces_trace WHERE id = {first.pk}", lambda: retention.delete_expired_traces(now), 2)


def old_hours(signal: Signal, now: datetime) -> Shared:
    for hours in range(3):
        make_trace(signal.project, hours + 1, now=now - 500 * DAY + hours * HOUR)
    first = AgentHour.objects.order_by("pk")[0]

    def delete() -> int:
        before = AgentHour.objects.count()
        retention.delete_expired_hours(now)
        return before - AgentHour.objects.count()

    return Shared(f"traces_agenthour WHERE id = {first.pk}", delete, 2)


def collecting_runs(signal: Signal, now: datetime) -> Shared:
    make_traces(signal.project, (1, 2), now=now)
    window: dict[str, Any] = {"start": now - DAY, "end": now + MINUTE, "sample_rate": 100, "now": now + MINUTE}
    first = backfill.start(make_signal(signal.agent), **window)
    second = backfill.start(make_signal(signal.agent), **window)

    def step() -> int:
        backfill.step(now + HOUR)
        second.refresh_from_db()
        return second.queued

    return Shared(f"signals_signalrun WHERE id = {first.pk}", step, 2)


def overtaken_runs(signal: Signal, now: datetime) -> Shared:
    first, _ = (run_of(make_signal(signal.agent), now, "collecting") for _ in range(2))
    for each in Signal.objects.all():
        operations.archive(each, now)

    def step() -> int:
        backfill.step(now + HOUR)
        return SignalRun.objects.filter(state="cancelled").count()

    return Shared(f"signals_signalrun WHERE id = {first.pk}", step, 1)


def stopped_runs(signal: Signal, now: datetime) -> Shared:
    labels = make_labels(signal, signal.project, 2, now=now)
    runs = [run_of(signal, now, "cancelled") for _ in labels]
    for run, label in zip(runs, labels, strict=True):
        Label.objects.filter(pk=label.pk).update(run=run)

    def step() -> int:
        backfill.step(now + HOUR)
        return 2 - Label.objects.count()

    return Shared(f"signals_signalrun WHERE id = {runs[0].pk}", step, 1)


def folding(queryset: FoldingQuerySet[Any]) -> Callable[[Signal, datetime], Shared]:
    def folded(signal: Signal, now: datetime) -> Shared:
        make_labels(signal, signal.project, 3, now=now)
        for label in Label.objects.all():
            Label.objects.filter(pk=label.pk).update(status="failed")
        first, *others = queryset.filter(folded=False).order_by("pk")
        return Shared(f"{queryset.model._meta.db_table} WHERE id = {first.pk}", queryset.fold, len(others))

    return folded


SHARED: dict[str, Callable[[Signal, datetime], Shared]] = {
    "settling": settle_two,
    "claiming live labels": claim_three,
    "claiming labels of runs": claim_of_a_run,
    "claiming targets of tests": items_of_tests,
    "deleting sessions": empty_sessions,
    "deleting traces": old_traces,
    "deleting hours": old_hours,
    "collecting": collecting_runs,
    "ending runs": overtaken_runs,
    "dequeuing labels of runs": stopped_runs,
    "folding half days": folding(LabelHalfDay.objects.all()),
    "folding hours": folding(LabelHour.objects.all()),
    "folding minutes": folding(LabelMinute.objects.all()),
    "folding settled minutes": folding(SettledMinute.objects.all()),
}


@pytest.mark.parametrize("prepare", SHARED.values(), ids=SHARED)
def test_it_does_the_rest_at_once_while_somebody_holds_a_part(
    signal: Signal, now: datetime, prepare: Callable[[Signal, datetime], Shared]
) -> None:
    shared = prepare(signal, now)
    with held(f"SELECT FROM {shared.part} FOR UPDATE"), nobody_waits():
        assert shared.work() == shared.rest


@dataclass(frozen=True)
class Ordered:
    """Work that locks rows. `first`, `others`: SQL of the row to be locked first, and of the others."""

    work: Callable[[], object]
    first: str
    others: str


# Settings under which an unordered statement locks rows as they lie on the disk.
ANY_PLAN = "SET enable_indexscan = off; SET enable_nestloop = off; SET enable_mergejoin = off"


def grown(trace: int, start: datetime, session: str = "") -> list[DecodedSpan]:
    """A turn of `make_trace` that lasted longer and made one more call."""
    identity: dict[str, Any] = {"agent__name": AGENT} | ({"session__id": session} if session else {})
    call: dict[str, Any] = {"openinference__span__kind": "LLM", "llm__model_name": "gpt-4o-mini"}
    root = sent_span(trace * 16 + 1, trace=trace, start=start, seconds=60, **identity)
    return [root, sent_span(trace * 16 + 9, trace * 16 + 1, trace=trace, start=start, **call)]


def grow_two(project: Project, now: datetime) -> Callable[[], object]:
    """Two traces grow. Their primary keys, sessions and hours are in the opposite order of their ids."""
    starts = {2: now - timedelta(seconds=2), 1: now - timedelta(seconds=2) + HOUR}
    make_trace(project, 2, now=now, session="a")
    make_trace(project, 1, now=now + HOUR, session="b")
    lay_backwards("traces_session")
    spans = [*grown(2, starts[2], "a"), *grown(1, starts[1], "b")]
    return lambda: pipeline.store(project.pk, spans, now + HOUR)


def lay_backwards(table: str) -> None:
    """Order the rows on the disk by falling primary key."""
    with connection.cursor() as cursor:
        cursor.execute(f"""
            SET session_replication_role = replica;
            CREATE TEMP TABLE moved AS SELECT * FROM {table};
            DELETE FROM {table};
            INSERT INTO {table} SELECT * FROM moved ORDER BY id DESC;
            DROP TABLE moved;
            SET session_replication_role = DEFAULT
        """)


def of_traces(table: str, key: str, where: str = "true") -> Callable[[Signal, datetime], Ordered]:
    """Ingest locks the rows of a table in the order of a key."""

    def ordered(signal: Signal, now: datetime) -> Ordered:
        work = grow_two(signal.project, now)
        first = f"(SELECT id FROM {table} WHERE {where} ORDER BY {key} LIMIT 1)"
        return Ordered(work, f"{table} WHERE id = {first}", f"{table} WHERE id <> {first} AND {where}")

    return ordered


def moving(*moves: tuple[str, str]) -> Callable[[Signal, datetime], Ordered]:
    """Traces move from one session to another. The sessions are named in the order of their primary keys."""

    def ordered(signal: Signal, now: datetime) -> Ordered:
        for number, key in enumerate(sorted({key for move in moves for key in move}), start=50):
            pipeline.store(signal.project.pk, [sent_span(1, trace=number, start=now, session__id=key)], now)
        for number, (source, _) in enumerate(moves, start=1):
            pipeline.store(signal.project.pk, [sent_span(2, 1, trace=number, start=now, session__id=source)], now)
        lay_backwards("traces_session")
        roots = [sent_span(1, trace=number, start=now, session__id=key) for number, (_, key) in enumerate(moves, 1)]
        work = partial(pipeline.store, signal.project.pk, roots[::-1], now)
        return Ordered(work, "traces_session WHERE key = 'a'", "traces_session WHERE key <> 'a'")

    return ordered


def labels_by_key(signal: Signal, now: datetime, count: int = 2) -> list[Label]:
    """Labels whose order on the disk is not that of their keys."""
    make_labels(signal, signal.project, count, now=now)
    lay_backwards("signals_label")
    return list(Label.objects.order_by("-target_key"))


def of_labels(
    change: Callable[[list[Label], datetime], object], *, claimed: bool = False, superseded: bool = False
) -> Callable[[Signal, datetime], Ordered]:
    """A change locks labels in the order of their keys: those of a worker, or of a version that was superseded."""

    def ordered(signal: Signal, now: datetime) -> Ordered:
        labels = labels_by_key(signal, now)
        if superseded:
            Label.objects.update(status="done", value="yes", labelled_at=now, judged_revision=1)
            operations.publish_version(signal, ELSE)
        if claimed:
            labels = sorted(claims.claim(9, LEASE, now + DAY), key=lambda label: label.target_key, reverse=True)
            lay_backwards("signals_label")
        last, first = labels
        table = "signals_label WHERE id"
        return Ordered(lambda: change(labels, now), f"{table} = {first.pk}", f"{table} = {last.pk}")

    return ordered


def settle_again(labels: list[Label], now: datetime) -> object:
    """Both targets have grown."""
    spans = [span for trace in (2, 1) for span in grown(trace, now - timedelta(seconds=2))]
    pipeline.store(labels[0].project_id, spans, now + MINUTE)
    Unsettled.objects.exclude(scope="trace").delete()
    return settling.settle(now + LATER)


def end(labels: list[Label], now: datetime) -> None:
    finish([CallResult(label, Label.Status.FAILED, 1, error="No.") for label in labels], now)


def extend(labels: list[Label], now: datetime) -> None:
    Label.objects.extend_leases(labels, now + 2 * DAY)


def caps(signal: Signal, now: datetime) -> Ordered:
    """Calls of several signals are charged, and to their project."""
    signals = [signal, *(make_signal(signal.agent) for _ in range(9))]
    operations.cap_project(signal.project, Cap(calls=9), now)
    for each in signals[::-1]:
        operations.cap_signal(each, Cap(calls=9), now)
    charges = {Account(signal.project.pk, each.pk): Calls(1) for each in signals[::-1]}
    table = "signals_budget WHERE signal_id"
    work = partial(Budget.objects.charge, charges, now.date())
    return Ordered(work, f"{table} = {signal.pk}", f"{table} IS DISTINCT FROM {signal.pk}")


def reservations(signal: Signal, now: datetime) -> Ordered:
    """Claimed calls of two signals are reserved."""
    other = make_signal(signal.agent, active_since=now - DAY)
    make_labels(signal, signal.project, 1, now=now)
    operations.cap_project(signal.project, Cap(calls=9), now)
    for each in (other, signal):
        operations.cap_signal(each, Cap(calls=9), now)
    table = "signals_budget WHERE signal_id"
    first = f"{table} = {signal.pk}"
    return Ordered(lambda: claims.claim(9, LEASE, now + DAY), first, f"{table} IS DISTINCT FROM {signal.pk}")


def queue_ahead(signal: Signal, now: datetime) -> Ordered:
    """What waits to settle was queued by a clock that was ahead. Ingest takes sessions last."""
    grow_two(signal.project, now + 30 * DAY)
    lay_backwards("traces_unsettled")
    first = "(SELECT id FROM traces_unsettled WHERE scope <> 'session' ORDER BY scope, target_id LIMIT 1)"
    return Ordered(
        lambda: settle_queue.clamp_future_times(now),
        f"traces_unsettled WHERE id = {first}",
        f"traces_unsettled WHERE id <> {first}",
    )


def clamp(labels: list[Label], now: datetime) -> None:
    Label.objects.clamp_future_times(now - 30 * DAY)


ORDERED: dict[str, Callable[[Signal, datetime], Ordered]] = {
    "traces": of_traces("traces_trace", "trace_id"),
    "sessions": of_traces("traces_session", "id"),
    "hours": of_traces("traces_agenthour", "agent_id, hour"),
    "latencies of hours": of_traces("traces_agenthourlatency", "agent_id, hour, bucket"),
    "calls of hours": of_traces("traces_agenthourcalls", "agent_id, hour, kind, name, bucket"),
    "the settle queue": of_traces("traces_unsettled", "scope, target_id", "scope <> 'session'"),
    "the settle queue ahead of its time": queue_ahead,
    "sessions that lose a trace": moving(("a", "c"), ("b", "c")),
    "a session that loses a trace to another one": moving(("a", "b")),
    "a session that gets a trace of another one": moving(("b", "a")),
    "labels whose targets grew": of_labels(settle_again),
    "labels of the version before": of_labels(settle_again, superseded=True),
    "labels that end": of_labels(end, claimed=True),
    "leases that are extended": of_labels(extend, claimed=True),
    "leases that are given back": of_labels(lambda labels, _: Label.objects.release(labels), claimed=True),
    "labels ahead of their time": of_labels(clamp),
    "labels of a disabled signal": of_labels(lambda labels, now: operations.disable(labels[0].signal, now)),
    "charged budgets": caps,
    "reserved budgets": reservations,
}


@pytest.mark.parametrize("prepare", ORDERED.values(), ids=ORDERED)
def test_it_locks_rows_in_the_order_of_their_keys(
    signal: Signal, now: datetime, prepare: Callable[[Signal, datetime], Ordered]
) -> None:
    """Two who lock in one order never wait for each other."""
    ordered = prepare(signal, now)
    with held(f"SELECT FROM {ordered.first} FOR NO KEY UPDATE") as holder, waiting(ordered.work, ANY_PLAN) as work:
        try:
            assert not work.done(), "it locks the first row"
            assert holder.execute(f"SELECT 1 FROM {ordered.others} FOR NO KEY UPDATE NOWAIT")
        finally:
            holder.commit()
    work.result()


@dataclass(frozen=True)
class Rivals:
    """Two that do the same at once. `outcome`: what is left in the end."""

    first: Callable[[], object]
    second: Callable[[], object]
    outcome: Callable[[], object]
    expected: object
    refused: bool = False


def details(signal: Signal, action: str) -> Callable[[], object]:
    """What the audit log says about an action."""
    entries = signal.project.audit_entries.filter(action=action).order_by("pk")
    return lambda: list(entries.all().values_list("detail", flat=True))


def editors(signal: Signal, _: datetime) -> Rivals:
    def publish(prompt: str) -> object:
        return operations.publish_version(Signal.objects.get(pk=signal.pk), Definition("binary", prompt, 100))

    prompts = signal.versions.order_by("number").values_list("number", "prompt")
    expected = [(2, "A?"), (3, "B?")]
    return Rivals(partial(publish, "A?"), partial(publish, "B?"), lambda: list(prompts.all())[1:], expected)


def candidates(signal: Signal, _: datetime) -> Rivals:
    def add() -> object:
        return operations.add_candidate(Signal.objects.get(pk=signal.pk), ELSE)

    return Rivals(add, add, lambda: sorted(signal.versions.values_list("number", flat=True)), [1, 2, 3])


def runs(signal: Signal, now: datetime) -> Rivals:
    window: dict[str, Any] = {"start": now - DAY, "end": now, "sample_rate": 100, "now": now}
    start = partial(backfill.start, signal, **window)
    return Rivals(start, start, SignalRun.objects.count, 1, refused=True)


def comparisons(signal: Signal, now: datetime) -> Rivals:
    version = signal.versions.select_related("signal").get()
    window: dict[str, Any] = {"start": now - DAY, "end": now, "sample_rate": 100, "now": now}
    start = partial(backfill.start_comparison, version, **window)
    return Rivals(start, start, SignalRun.objects.count, 1, refused=True)


def starts(signal: Signal, now: datetime) -> Rivals:
    make_traces(signal.project, range(1, 4), now=now)
    start = partial(start_test, signal, now)
    states = SignalTest.objects.order_by("pk").values_list("state", flat=True)
    return Rivals(start, start, lambda: list(states.all()), ["cancelled", "running"])


def cancels(signal: Signal, now: datetime) -> Rivals:
    run = run_of(signal, now)

    def cancel() -> None:
        backfill.cancel(SignalRun.objects.get(pk=run.pk), now)

    return Rivals(cancel, cancel, details(signal, "cancelled a backfill of"), [f"backfill {run.pk}"])


def names(signal: Signal, _: datetime) -> Rivals:
    def rename(name: str) -> None:
        core_operations.rename_project(Project.objects.get(pk=signal.project_id), name=name, by=SYSTEM)

    expected = ["from Default", "from A"]
    return Rivals(partial(rename, "A"), partial(rename, "B"), details(signal, "renamed"), expected)


def retentions(signal: Signal, _: datetime) -> Rivals:
    def keep(days: int) -> None:
        core_operations.set_retention(Project.objects.get(pk=signal.project_id), days=days, by=SYSTEM)

    expected = ["retention from the instance's to 7 days", "retention from 7 days to 8 days"]
    return Rivals(partial(keep, 7), partial(keep, 8), details(signal, "changed"), expected)


def renamers(signal: Signal, _: datetime) -> Rivals:
    def rename(name: str) -> None:
        operations.rename(Signal.objects.get(pk=signal.pk), name, based_on="Refund wanted")

    name = Signal.objects.filter(pk=signal.pk).values_list("name", flat=True)
    return Rivals(partial(rename, "A"), partial(rename, "B"), name.all().get, "A", refused=True)


def guests(signal: Signal, now: datetime) -> Rivals:
    host, ada, eve = (User.objects.create_user(name) for name in ("host", "ada", "eve"))
    invitation, _ = core_operations.invite(signal.project, role="member", by=Actor(host), now=now)
    accept = partial(core_operations.accept_invitation, invitation, now=now)
    members = signal.project.memberships.values_list("user__username", flat=True)
    return Rivals(partial(accept, user=ada), partial(accept, user=eve), lambda: list(members.all()), ["ada"], True)


def outages(_: Signal, now: datetime) -> Rivals:
    @transaction.atomic
    def pause(asked_at: datetime) -> None:
        availability.pause(Outage("judge-1", "Down.", asked_at, None, False), now)

    pause(now)
    later = partial(pause, now + HOUR)
    return Rivals(later, later, lambda: JudgeHealth.objects.get().failures, 3)


RIVALS: dict[str, Callable[[Signal, datetime], Rivals]] = {
    "two edits": editors,
    "two candidates": candidates,
    "two runs": runs,
    "two comparisons": comparisons,
    "two tests": starts,
    "two who cancel a run": cancels,
    "two names of a project": names,
    "two retentions": retentions,
    "two names of a signal": renamers,
    "two guests with one invitation": guests,
    "two outages": outages,
}


@pytest.mark.parametrize("prepare", RIVALS.values(), ids=RIVALS)
def test_the_second_of_two_at_once_knows_what_the_first_did(
    signal: Signal, now: datetime, prepare: Callable[[Signal, datetime], Rivals]
) -> None:
    rivals = prepare(signal, now)
    with ExitStack() as stack:
        with transaction.atomic():
            rivals.first()
            second = stack.enter_context(waiting(rivals.second))
        if rivals.refused:
            with pytest.raises(ValidationError):
                second.result(SECONDS)
        else:
            second.result(SECONDS)
    assert rivals.outcome() == rivals.expected
