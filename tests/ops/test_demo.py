"""The project Demo: a week of made-up traffic that tells a story, told by the spans and by the signals."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import cache
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db.models import Sum

from catalyst import task_backend
from catalyst.agents.models import Agent
from catalyst.core.models import Membership, Project, User
from catalyst.env import env
from catalyst.ops import tasks
from catalyst.ops.demo import loader, research, review, support, timeline
from signals.judging import worker
from signals.judging.judges import judge_of
from signals.models import Label, Signal, SignalVersion
from signals.runs import backfill
from tests.factories import make_signal, make_trace, settle_all
from tests.traces.stored import texts
from traces.ingest import pipeline
from traces.models import AgentHour, Payload, Resource, Session, Span, Trace, Unsettled
from traces.otlp import DecodedSpan

pytestmark = pytest.mark.slow

SCALE = 0.15
SMALL = 0.02
WEEK = timedelta(days=7)


def made_week(now: datetime, scale: float) -> list[DecodedSpan]:
    found = timeline.conversations(now - WEEK, now, now, scale)
    return [span for turns in found for turn in turns for span in turn]


@cache
def week(now: datetime, scale: float = SCALE) -> list[DecodedSpan]:
    """The spans of a week. Making them takes a second, so the tests share them and change none."""
    return made_week(now, scale)


@pytest.fixture
def demo(alice: User, now: datetime) -> Project:
    """The project, with enough of its traffic to tell its story."""
    project = loader.make(alice, now)
    loader.fill(project, now, SCALE)
    return project


@pytest.fixture
def small_demo(alice: User, now: datetime) -> Project:
    """The project, with a little of its traffic."""
    project = loader.make(alice, now)
    loader.fill(project, now, SMALL)
    return project


@pytest.fixture
def a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """An instance that would judge with a model."""
    monkeypatch.setattr(env, "judge_url", "http://127.0.0.1:1/v1")
    monkeypatch.setattr(env, "judge_model", "expensive")


def test_it_is_the_same_for_the_same_moment(now: datetime) -> None:
    assert made_week(now, SMALL) == made_week(now, SMALL)
    assert made_week(now, SMALL) != made_week(now + timedelta(days=1), SMALL)


@pytest.mark.slow
def test_it_is_a_week_of_about_twenty_thousand_spans(now: datetime) -> None:
    spans = made_week(now, 1)
    assert 18_000 < len(spans) < 24_000
    assert len({(span.trace_id, span.span_id) for span in spans}) == len(spans)
    times = [datetime.fromtimestamp(span.end_ns / 1e9, UTC) for span in spans if span.parent_id is None]
    assert now - WEEK < min(times) < now - WEEK + timedelta(hours=2)
    assert now - timedelta(hours=2) < max(times) <= now
    roots = [span for span in spans if span.parent_id is None]
    assert {span.attributes["agent.id"] for span in roots} == {support.ID, review.ID, research.ID}
    assert max(Counter(span.trace_id for span in spans).values()) == 200
    assert len({span.attributes["user.id"] for span in roots}) > 100
    assert {span.source.attributes["deployment.environment.name"] for span in spans} == {"production", "staging"}
    answers = Counter(span.attributes.get("output.value") for span in roots)
    del answers[None]
    assert max(answers.values()) < len(roots) / 50
    assert len(answers) > 0.7 * len(roots)


def test_it_begins_with_a_full_hour(now: datetime) -> None:
    assert timeline.begins(now) == now - WEEK
    assert timeline.begins(now + timedelta(minutes=7)) == now - WEEK + timedelta(hours=1)


def test_it_is_busier_by_day_than_at_night(now: datetime) -> None:
    hours = Counter(datetime.fromtimestamp(span.start_ns / 1e9, UTC).hour for span in week(now))
    assert sum(hours[hour] for hour in range(12, 18)) > 2 * sum(hours[hour] for hour in range(6))


def test_it_speaks_every_language(now: datetime) -> None:
    said = "\n".join(str(span.attributes.get("output.value")) for span in week(now))
    for words in ("You're welcome", "Gern geschehen", "De nada", "Je vous en prie", "どういたしまして", "العفو"):
        assert words in said


def test_every_text_can_be_filled(now: datetime) -> None:
    values = [str(value) for span in week(now) for value in span.attributes.values() if isinstance(value, str)]
    assert not [value for value in values if "{order}" in value or "{product}" in value or "{topic}" in value]
    kinds = {frozenset(support.texts(language)) for language in support.LANGUAGES}
    assert len(kinds) == 1


# One test, because filling the project takes seconds.
@pytest.mark.slow
def test_it_tells_its_story_in_spans_rollups_and_labels(demo: Project, now: datetime) -> None:
    assert_it_is_stored(demo, now)
    assert_the_bad_deploy_shows_in_the_rollups(demo, now)
    assert_labels_tell_the_same_story(now)


def assert_it_is_stored(demo: Project, now: datetime) -> None:
    assert demo.memberships.get().role == Membership.Role.OWNER
    assert {agent.name for agent in demo.agents.all()} == {support.NAME, review.NAME, research.NAME}
    assert Span.objects.filter(project_id=demo.pk).count() == len(week(now))
    assert Trace.objects.filter(project=demo, span_count=200).exists()
    assert Trace.objects.filter(project=demo, unpriced_count__gt=0, model_names__contains=["acme-reviewer-8b"]).exists()
    assert Trace.objects.filter(project=demo, cost__gt=0, agent__identity=support.ID).exists()
    assert Session.objects.filter(project=demo, trace_count__gt=2).exists()
    assert loader.fill(demo, now, SCALE) == 0


def assert_the_bad_deploy_shows_in_the_rollups(demo: Project, now: datetime) -> None:
    first, last = timeline.bad_deploy(now)
    assert first.date() == (now - WEEK + timedelta(days=4)).date()
    hours = AgentHour.objects.filter(project=demo, agent__identity=support.ID)

    def error_rate(**window: datetime) -> float:
        sums = hours.filter(**window).aggregate(all=Sum("trace_count"), errors=Sum("error_trace_count"))
        return float((sums["errors"] or 0) / sums["all"])

    day = first.replace(hour=0)
    bad_day = error_rate(hour__gte=day, hour__lt=day + timedelta(days=1))
    assert bad_day > 4 * error_rate(hour__lt=day)
    assert bad_day > 4 * error_rate(hour__gte=day + timedelta(days=1))
    assert error_rate(hour__gte=first, hour__lt=last) > 0.2
    assert Resource.objects.filter(project=demo, attributes__contains={"service.version": support.BAD}).exists()


def assert_labels_tell_the_same_story(now: datetime) -> None:
    told = Signal.objects.filter(agent__identity=support.ID, template__in=("frustration", "task_outcome"))
    Signal.objects.exclude(pk__in=told).delete()
    settle_all(now)
    worker.run()
    assert not Label.objects.exclude(status=Label.Status.DONE).exists()
    assert {label.judge for label in Label.objects.all()} == {"offline"}
    first, last = timeline.bad_deploy(now)
    frustrated = Label.objects.filter(signal__template="frustration")
    bad = frustrated.filter(target_time__gte=first, target_time__lt=last)
    rest = frustrated.exclude(pk__in=bad.values("pk"))
    assert bad.filter(value="yes").count() / bad.count() > 4 * rest.filter(value="yes").count() / rest.count()
    outcomes = Label.objects.filter(signal__template="task_outcome", signal__agent__identity=support.ID)
    failed = outcomes.filter(value__in=("failed", "abandoned"))
    inside = {"target_time__gte": first, "target_time__lt": last}
    assert failed.filter(**inside).count() / outcomes.filter(**inside).count() > 0.3
    assert failed.count() / outcomes.count() < 0.2


def test_a_model_is_not_asked_about_it(alice: User, now: datetime, a_model: None) -> None:
    project = loader.make(alice, now)
    loader.fill(project, now, SMALL)
    signals = Signal.objects.filter(project=project).select_related("current_version")
    assert {signal.state for signal in signals} == {Signal.State.ACTIVE}
    assert all(judge_of(signal.current_version).is_offline for signal in signals if signal.current_version)


def test_its_signals_stay_with_the_offline_judge_when_a_model_is_connected_later(
    alice: User, project: Project, now: datetime, request: pytest.FixtureRequest
) -> None:
    demo = loader.make(alice, now)
    loader.fill(demo, now, SMALL)
    chosen = make_signal(Agent.objects.get(project=demo, identity=support.ID), active_since=now)
    elsewhere = make_signal(Agent.objects.create(project=project, identity="mine", first_seen_at=now), active_since=now)
    # As earlier versions of Catalyst made them.
    SignalVersion.objects.filter(signal__project=demo).update(judge_model="")
    request.getfixturevalue("a_model")
    loader.stay_offline()
    active = Signal.objects.filter(state=Signal.State.ACTIVE).select_related("current_version")
    assert active.count() == len(loader.SIGNALS) + 2
    by_model = {signal for signal in active if signal.current_version and judge_of(signal.current_version).is_model}
    assert by_model == {chosen, elsewhere}


def judge_all(now: datetime) -> None:
    settle_all(now)
    while backfill.step(now) or worker.run():
        pass


@pytest.mark.slow
def test_one_signal_gets_a_second_version_that_judges_the_bad_day_again(demo: Project, now: datetime) -> None:
    signal = Signal.objects.get(project=demo, agent__identity=support.ID, template="laziness")
    later = now + timedelta(hours=1)
    loader.reword(later)
    assert signal.versions.count() == 1  # nothing is judged yet
    Signal.objects.exclude(pk=signal.pk).delete()
    judge_all(later)
    loader.reword(later)
    judge_all(later)
    old, new = signal.versions.order_by("number")
    assert old.prompt != new.prompt
    first, _ = timeline.bad_deploy(now)
    again = Label.objects.filter(version=new)
    assert set(again.values_list("target_time__date", flat=True)) == {first.date()}
    blamed = Label.objects.filter(version=old, value="yes", target_key__in=again.values("target_key"))
    assert blamed.count() > again.filter(value="yes").count()
    assert {label.judge for label in Label.objects.all()} == {"offline"}
    loader.reword(later)
    assert signal.versions.count() == 2


@pytest.mark.slow
def test_new_traffic_trickles_in(small_demo: Project, now: datetime) -> None:
    before = Span.objects.count()
    added = sum(loader.trickle(now + timedelta(minutes=minute)) for minute in range(1, 11))
    assert added > 20
    assert Span.objects.count() == before + added
    assert loader.trickle(now + timedelta(minutes=10)) == 0
    assert Trace.objects.filter(start_time__gt=now).exists()


def test_nothing_trickles_in_where_it_is_not_wanted(
    small_demo: Project, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(env, "demo", False)
    assert loader.trickle(now + timedelta(minutes=1)) == 0
    monkeypatch.setattr(env, "demo", True)
    small_demo.agents.all().delete()
    assert loader.trickle(now + timedelta(minutes=1)) == 0
    assert Trace.objects.filter(last_received_at__gt=now).count() == 0


def test_it_goes_on_every_minute(small_demo: Project, now: datetime) -> None:
    before = Span.objects.count()
    tasks.minute.call()
    assert task_backend.count_unfinished("default") == 1
    for minute in range(1, 6):
        loader.generate_next.call((now + timedelta(minutes=minute)).isoformat())
    assert Span.objects.count() > before


def test_it_is_made_once_in_an_empty_database(alice: User, now: datetime) -> None:
    assert loader.is_due()
    loader.begin(alice, now)
    assert task_backend.count_unfinished("default") == 1
    assert not loader.is_due()
    assert not Trace.objects.exists()


def test_it_is_not_made_where_its_name_is_taken(project: Project) -> None:
    project.name = "demo"
    project.save(update_fields=["name"])
    assert not loader.is_due()


def test_it_is_not_made_where_there_are_traces(project: Project, now: datetime) -> None:
    make_trace(project, now=now)
    assert not loader.is_due()


def test_the_task_fills_it(alice: User, now: datetime) -> None:
    project = loader.make(alice, now)
    project.delete()
    loader.fill_later.call(project.pk, now.isoformat())
    assert not Span.objects.exists()


def test_renewing_leaves_other_projects_alone(small_demo: Project, project: Project, now: datetime) -> None:
    make_trace(project, now=now, agent=support.ID, session="conversation")
    settle_all(now)
    make_trace(small_demo, now=now, agent="visitor")
    kept = (Span, Payload, Trace, Session, Unsettled)
    counts = [model.objects.count() for model in kept]
    hours = AgentHour.objects.filter(project=project).count()
    later = now + timedelta(hours=5)

    loader.renew(small_demo, later, SMALL)

    assert Span.objects.filter(project_id=small_demo.pk).count() == len(week(later, SMALL))
    assert Trace.objects.filter(project=project).count() == 1
    assert Span.objects.filter(project_id=project.pk).count() == 2
    assert texts(small_demo.pk) == set(Span.objects.filter(project_id=small_demo.pk).values_list("trace_id", "span_id"))
    assert AgentHour.objects.filter(project=project).count() == hours
    assert small_demo.agents.count() == 3
    assert Signal.objects.filter(project=small_demo, state=Signal.State.ACTIVE).count() == len(loader.SIGNALS)
    assert not Label.objects.exists()
    assert Trace.objects.filter(project=small_demo, last_received_at__lt=later).count() == 0
    assert sum(counts) > 0
    assert not Unsettled.objects.filter(scope="session").exclude(target_id__in=Session.objects.values("pk")).exists()
    assert not Unsettled.objects.exclude(scope="session").exclude(target_id__in=Trace.objects.values("pk")).exists()


def test_the_command_makes_and_renews_it(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "PERIOD", timedelta(hours=3))
    with pytest.raises(CommandError, match="createsuperuser"):
        call_command("demo")
    User.objects.filter(pk=alice.pk).update(is_superuser=True)
    said = StringIO()
    call_command("demo", stdout=said)
    project = Project.objects.get(slug="demo")
    assert "new spans" in said.getvalue()
    with pytest.raises(CommandError, match="--reset"):
        call_command("demo")
    call_command("demo", reset=True, stdout=said)
    assert Project.objects.get(slug="demo") == project


def test_the_command_leaves_a_project_of_that_name_alone(alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(is_superuser=True)
    Project.objects.create(name="Our demo", slug="demo")
    with pytest.raises(CommandError, match="of your own"):
        call_command("demo", reset=True)


def test_ingest_takes_it_as_any_other_traffic(project: Project, now: datetime) -> None:
    spans = made_week(now, SMALL)
    assert pipeline.store(project.pk, spans, now).inserted == len(spans)
    assert pipeline.store(project.pk, spans, now).duplicate == len(spans)
