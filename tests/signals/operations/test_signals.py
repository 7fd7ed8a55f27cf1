"""Operations on signals: lists in pages, several at once, edits."""

from datetime import datetime

import pytest

from catalyst.core.models import AuditEntry, Project
from catalyst.operations import InvalidInput, NotFound
from signals import operations
from signals.models import Signal
from tests.factories import AGENT, make_agent, make_signal
from tests.signals.operations.calling import call

pytestmark = pytest.mark.django_db


@pytest.fixture
def signals(project: Project) -> list[Signal]:
    return [make_signal(make_agent(project), name=name) for name in ("Anger", "Anger", "Refund")]


def test_it_lists_signals_page_by_page(project: Project, now: datetime, signals: list[Signal]) -> None:
    first = call(project, now, "signals.list", limit=2)
    second = call(project, now, "signals.list", limit=2, after=first.next)
    ids = [each.id for each in first.signals + second.signals]
    assert ids == [str(signal.pk) for signal in signals]
    assert (len(first.signals), second.next) == (2, None)


def test_it_changes_several_signals_each_by_itself(project: Project, now: datetime, signals: list[Signal]) -> None:
    found = call(project, now, "signals.bulk", signals=[signal.pk for signal in signals], action="activate")
    assert found.changed_ids == [str(signal.pk) for signal in signals]
    assert found.refused == []
    assert set(Signal.objects.values_list("state", flat=True)) == {"active"}
    assert AuditEntry.objects.filter(action="activated", actor_name="Catalyst").count() == 3


def test_it_changes_none_where_one_is_not_found(
    project: Project, other_project: Project, now: datetime, signals: list[Signal]
) -> None:
    theirs = make_signal(make_agent(other_project))
    operations.archive(signals[2], now)
    for missing in (theirs, signals[2]):
        with pytest.raises(NotFound, match=f"no unarchived signal {missing.pk}. Nothing was changed"):
            call(project, now, "signals.bulk", signals=[signals[0].pk, missing.pk], action="activate")
    assert not Signal.objects.filter(state="active").exists()


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"signals": [], "action": "disable"}, "signals"),
        ({"signals": list(range(1, 102)), "action": "disable"}, "signals"),
        ({"signals": [1], "action": "explode"}, "action"),
    ],
)
def test_it_says_what_is_wrong_with_several(
    project: Project, now: datetime, given: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        call(project, now, "signals.bulk", **given)
    assert list(caught.value.errors) == [field]


def test_an_edit_can_activate(project: Project, now: datetime, signals: list[Signal]) -> None:
    found = call(project, now, "signals.edit", signal=signals[0].pk, name="Rage", sample_rate=10, activate=True)
    assert (found.signal.name, found.signal.state, found.signal.version) == ("Rage", "active", 2)


def test_the_quiet_time_of_a_signal_is_part_of_no_version(project: Project, now: datetime) -> None:
    make_agent(project)
    about = {"agent": AGENT, "name": "Mood", "scope": "session", "prompt": "Is the user angry?"}
    made = call(project, now, "signals.create", quiet_minutes=5, **about)
    edited = call(project, now, "signals.edit", signal=made.signal.id, quiet_minutes=60)
    kept = call(project, now, "signals.edit", signal=made.signal.id, sample_rate=10)
    reset = call(project, now, "signals.edit", signal=made.signal.id, quiet_minutes=0)
    found = [(each.signal.quiet_minutes, each.signal.version) for each in (made, edited, kept, reset)]
    assert found == [(5, 1), (60, 1), (60, 2), (None, 2)]


def test_only_a_signal_about_sessions_takes_a_quiet_time(project: Project, now: datetime) -> None:
    signal = make_signal(make_agent(project), scope="trace")
    with pytest.raises(InvalidInput, match="Only session signals have a quiet time"):
        call(project, now, "signals.edit", signal=signal.pk, quiet_minutes=5)
