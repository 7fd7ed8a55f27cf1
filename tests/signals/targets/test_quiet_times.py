"""Signals about sessions that wait longer or shorter than the instance, which waits for 30 minutes."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from catalyst.core.models import AuditEntry, Project
from signals import operations
from signals.definitions.definition import Definition
from signals.models import Label, Signal
from signals.results import missing_labels, summaries
from signals.runs import backfill
from signals.targets import eligibility
from signals.targets.settling import Settled, settle
from tests.factories import AGENT, make_agent, make_session, make_signal, make_trace
from traces.ingest import settle_queue
from traces.models import Session, Unsettled

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)

type Make = Callable[..., Signal]


@pytest.fixture
def signal(project: Project, now: datetime) -> Make:
    """Make a signal about sessions that is active from `now` on."""

    def make(quiet_minutes: int | None = None, *, agent: str = AGENT, active: bool = True) -> Signal:
        since = now if active else None
        return make_signal(make_agent(project, agent), scope="session", quiet_minutes=quiet_minutes, active_since=since)

    return make


def settle_until(start: datetime, minutes: int) -> dict[int, int]:
    """Settle every minute. Return after how many minutes how many labels were queued."""
    times = range(minutes + 1)
    return {number: labels for number in times if (labels := settle(start + number * MINUTE).labels)}


def judge_all(now: datetime) -> None:
    Label.objects.filter(status="queued").update(status="done", value="yes", labelled_at=now, judged_revision=99)


@pytest.mark.parametrize(
    ("quiet", "expected"),
    [
        ([5], {5: 1}),
        ([90], {90: 1}),
        ([30, None], {30: 2}),
        ([5, None], {5: 1, 30: 1}),
        ([None, 90], {30: 1, 90: 1}),
        ([5, 10, None, 60, 90], {5: 1, 10: 1, 30: 1, 60: 1, 90: 1}),
    ],
    ids=str,
)
def test_each_signal_judges_a_session_once_after_its_own_quiet_time(
    project: Project, now: datetime, signal: Make, quiet: list[int | None], expected: dict[int, int]
) -> None:
    for minutes in quiet:
        signal(minutes)
    make_session(project, now=now)
    assert settle_until(now, 120) == expected
    assert not Unsettled.objects.exists()


def test_a_session_that_grows_is_judged_again_after_each_quiet_time(
    project: Project, now: datetime, signal: Make
) -> None:
    short, default, long = signal(5), signal(), signal(90)
    make_session(project, "chat", now=now)
    later = now + 20 * MINUTE
    assert settle_until(now, 19) == {5: 1}
    judge_all(later)
    make_trace(project, 9, now=later, session="chat")
    revision = Session.objects.get().revision
    Label.objects.update(judged_revision=revision - 1, wanted_revision=revision - 1)
    assert settle_until(later, 120) == {5: 1, 30: 1, 90: 1}
    assert set(Label.objects.values_list("signal", "wanted_revision")) == {
        (each.pk, revision) for each in (short, default, long)
    }


def test_a_later_look_asks_no_signal_that_has_asked(project: Project, now: datetime, signal: Make) -> None:
    short, _ = signal(5), signal(90)
    make_session(project, now=now)
    assert settle_until(now, 10) == {5: 1}
    judge_all(now + 10 * MINUTE)
    operations.publish_version(short, Definition("binary", "Else?", 100))
    assert settle_until(now, 120) == {90: 1}
    assert Label.objects.filter(signal=short).count() == 1


@pytest.mark.parametrize("state", ["draft", "disabled", "archived", "another agent's"])
def test_a_signal_that_judges_nothing_changes_nothing(
    project: Project, now: datetime, signal: Make, state: str
) -> None:
    quiet = signal(5, agent="other" if state == "another agent's" else AGENT, active=state != "draft")
    if state in {"disabled", "archived"}:
        {"disabled": operations.disable, "archived": operations.archive}[state](quiet, now)
    signal()
    make_session(project, now=now)
    assert Unsettled.objects.get(scope="session").due_at == now + 30 * MINUTE
    assert settle_until(now, 120) == {30: 1}


def test_a_session_that_ended_long_ago_is_judged_as_each_signal_would_have(
    project: Project, now: datetime, signal: Make
) -> None:
    signal(5)
    signal()
    signal(120)
    spans_of_last_hour = now - HOUR
    make_session(project, now=spans_of_last_hour)
    session = Session.objects.get()
    # As an import sends it: received now, ended an hour ago.
    Session.objects.update(last_received_at=now)
    settle_queue.enqueue_sessions([session.pk], now)
    assert settle_until(now, 180) == {0: 2, 120: 1}


@pytest.mark.parametrize(("before", "after", "expected"), [(120, 5, {10: 1}), (5, 120, {120: 1}), (120, 0, {30: 1})])
def test_a_new_quiet_time_holds_for_sessions_that_wait(
    project: Project, now: datetime, signal: Make, before: int, after: int, expected: dict[int, int]
) -> None:
    changed = signal(before)
    make_session(project, now=now)
    settle(now)
    edited_at = now + (10 if after == 5 else 2) * MINUTE
    edit = operations.Edit(changed.current_version.definition, quiet_minutes=after)  # type: ignore[union-attr]
    operations.edit_signal(changed, edit, edited_at)
    changed.refresh_from_db()
    assert (changed.quiet_minutes, changed.versions.count()) == (after or None, 1)
    detail = f"quiet time to {f'{after} min' if after else 'the default'}"
    assert AuditEntry.objects.filter(action="changed", detail=detail).count() == 1
    minutes = range(edited_at.minute - now.minute, 180)
    found = {number: labels for number in minutes if (labels := settle(now + number * MINUTE).labels)}
    assert found == expected


def test_an_interrupted_look_is_made_again(project: Project, now: datetime, signal: Make) -> None:
    signal(5)
    signal(90)
    make_session(project, now=now)
    with transaction.atomic():
        assert settle(now + 5 * MINUTE).labels == 1
        transaction.set_rollback(True)
    assert settle_until(now, 120) == {5: 1, 90: 1}


def test_sessions_that_wait_for_long_are_not_taken_for_ones_from_the_future(
    project: Project, now: datetime, signal: Make
) -> None:
    signal(24 * 60)
    make_session(project, now=now)
    settle(now + 30 * MINUTE)
    settle_queue.clamp_future_times(now + 31 * MINUTE)
    assert settle(now + 31 * MINUTE) == Settled(0, 0)
    assert settle(now + 24 * HOUR) == Settled(1, 1)


def test_pages_and_backfills_know_for_which_signal_a_session_waits(
    project: Project, now: datetime, signal: Make
) -> None:
    short, long = signal(5), signal(90)
    make_session(project, now=now)
    later = now + 10 * MINUTE
    settle(later)
    Label.objects.all().delete()
    (of_short, of_long) = sorted(
        missing_labels.explain_missing(project, eligibility.of_session(Session.objects.get()), later),
        key=lambda missing: missing.signal.pk,
    )
    assert (of_short.why, of_long.why) == ("missed", "not settled")
    assert of_long.text == f"Judged at {now + 90 * MINUTE:%H:%M:%S} UTC, unless new spans arrive."
    window = (now - HOUR, now + HOUR)
    assert backfill.traffic(short.current_version, *window).count() == 1  # type: ignore[arg-type]
    assert backfill.traffic(long.current_version, *window).count() == 0  # type: ignore[arg-type]
    assert (summaries.is_open(short, 0), summaries.is_open(long, 0)) == (False, True)


@pytest.mark.parametrize(("scope", "minutes"), [("trace", 5), ("span", 5), ("session", 1441), ("session", -1)])
def test_it_refuses_other_quiet_times(project: Project, now: datetime, scope: str, minutes: int) -> None:
    signal = make_signal(make_agent(project), scope=scope)
    with pytest.raises(ValidationError) as caught:
        operations.set_quiet_minutes(signal, minutes, now)
    assert list(caught.value.error_dict) == ["quiet_minutes"]


def test_ingest_needs_no_further_statement(project: Project, now: datetime, signal: Make) -> None:
    def queries(first: int) -> int:
        with CaptureQueriesContext(connection) as captured:
            make_session(project, f"chat {first}", first=first, now=now)
        return len(captured)

    signal()
    queries(1)
    before = queries(11)
    signal(5)
    assert queries(21) == before


def test_a_copy_keeps_the_quiet_time(project: Project, signal: Make) -> None:
    assert operations.duplicate(signal(5), make_agent(project), "Copy").quiet_minutes == 5


def test_merged_agents_keep_the_shortest_time(project: Project, now: datetime, signal: Make) -> None:
    source = signal(5, agent="other").agent
    into = signal().agent
    with transaction.atomic():
        operations.move_signals(source, into)
    make_session(project, now=now)
    assert settle_until(now, 40) == {5: 1, 30: 1}
