"""Sums of labels by the half day, hour and minute: always what counting the labels would give."""

import random
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from importlib import import_module
from uuid import UUID

import pytest
from django.db import connection
from django.db.models import Case, DateTimeField, F, Func, Value, When
from hypothesis import settings

from catalyst.core.models import Project
from catalyst.timerange import EPOCH, between, floor, named
from signals import operations, retention, tasks
from signals.definitions.definition import Definition
from signals.filters import LabelFilter
from signals.judging import claims, worker
from signals.judging.calls import CallResult, CallUsage
from signals.models import Label, LabelHalfDay, LabelHour, LabelMinute, Signal, SignalRun, Unsampled
from signals.models.label_queue import LabelRequest
from signals.models.label_rollup import Coverage
from signals.results.rollups import sums
from tests.factories import make_agent, make_signal

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
SUMS: dict[str, type[LabelHalfDay | LabelHour | LabelMinute]] = {
    "half_day": LabelHalfDay,
    "hour": LabelHour,
    "minute": LabelMinute,
}
type Sums = dict[tuple[object, ...], tuple[int, Decimal]]


def counted(grain: str) -> Sums:
    """The labels themselves, and by the hour what was left out."""
    found: dict[tuple[object, ...], tuple[int, Decimal]] = {}
    state = Case(When(status__in=["queued", "running"], then=Value("waiting")), default=F("status"))
    labels = Label.objects.annotate(state=state, start=_start(grain))
    for *kind, cost in labels.values_list(
        "signal", "version", "run", "is_effective", "start", "state", "value", "cost"
    ):
        count, total = found.get(tuple(kind), (0, Decimal(0)))
        found[tuple(kind)] = count + 1, total + (cost or 0)
    left_out_by_hour = Unsampled.objects.values_list("signal", "version", "hour")
    for signal, version, start in left_out_by_hour if grain == "hour" else ():
        left_out = (signal, version, None, True, start, "unsampled", "")
        found[left_out] = found.get(left_out, (0, Decimal(0)))[0] + 1, Decimal(0)
    return found


def _start(grain: str) -> Func:
    length = Value(SUMS[grain].objects.all().length)
    return Func(length, F("target_time"), Value(EPOCH), function="date_bin", output_field=DateTimeField())


def summed(grain: str) -> Sums:
    """What the rows of each kind add up to, without those that add up to nothing."""
    found: dict[tuple[object, ...], tuple[int, Decimal]] = {}
    rows = SUMS[grain].objects.values_list(
        "signal", "version", "run", "is_effective", grain, "state", "value", "count", "cost"
    )
    for *kind, count, cost in rows:
        before, total = found.get(tuple(kind), (0, Decimal(0)))
        found[tuple(kind)] = before + count, total + (cost or 0)
    return {kind: sums for kind, sums in found.items() if sums != (0, Decimal(0))}


def are_exact() -> bool:
    return all(summed(grain) == counted(grain) for grain in SUMS)


class History:
    """Anything that may happen to the labels of two signals, in any order."""

    def __init__(self, project: Project, now: datetime, chance: random.Random) -> None:
        agent = make_agent(project)
        self.chance, self.now = chance, now
        self.signals = [make_signal(agent, name=name, active_since=now - 999 * HOUR) for name in ("One", "Two")]
        self.claimed: list[Label] = []
        self.revision = 0

    @property
    def signal(self) -> Signal:
        return Signal.objects.select_related("current_version").get(pk=self.chance.choice(self.signals).pk)

    def want(self) -> None:
        """New targets, and old ones that grew and may turn out to have begun in another hour."""
        self.revision += 1
        self.want_of(self.signal, self.chance.sample(range(1, 40), 12))

    def want_of(self, signal: Signal, targets: list[int]) -> None:
        assert signal.current_version_id
        hours = {number: self.now - HOUR * (number % 5) ** 3 - HOUR * self.chance.random() for number in targets}
        about = (signal.current_version_id, signal.pk, signal.project_id, "trace")
        wanted = [
            LabelRequest(*about, UUID(int=number).hex, UUID(int=number), None, "", hours[number], self.revision)
            for number in sorted(targets)
        ]
        Label.objects.enqueue(wanted, self.now)

    def run(self) -> None:
        version = self.signal.current_version
        assert version
        run = SignalRun.objects.create(version=version, window_start=self.now, window_end=self.now, sample_rate=10)
        some = Label.objects.filter(version=version, status="queued", run=None).values("pk")[:3]
        Label.objects.filter(pk__in=list(some.values_list("pk", flat=True))).update(run=run)

    def forget_run(self) -> None:
        SignalRun.objects.filter(pk__in=SignalRun.objects.order_by("?").values("pk")[:1]).delete()

    def claim(self) -> None:
        self.claimed += claims.claim(8, HOUR, self.now)

    def renew(self) -> None:
        Label.objects.extend_leases(self.claimed, self.now + self.chance.random() * HOUR)

    def release(self) -> None:
        Label.objects.release(self.claimed[:2])

    def finish(self) -> None:
        self.chance.shuffle(self.claimed)
        ended, self.claimed = self.claimed[:5], self.claimed[5:]
        worker.finish([self.ending(label) for label in ended], self.now)

    def ending(self, label: Label) -> CallResult:
        tokens = self.chance.randrange(9_000)
        model = "gpt-4o-mini"
        usage = CallUsage(model, model, digest="", latency_ms=9, input_tokens=tokens, output_tokens=9)
        status = self.chance.choice([s for s in Label.Status if s != Label.Status.RUNNING])
        value = self.chance.choice(["yes", "no"]) if status == Label.Status.DONE else ""
        return CallResult(label=label, status=status, value=value, revision=label.wanted_revision, usage=usage)

    def retry(self) -> None:
        operations.retry_failed(self.signal, self.now)

    def publish(self) -> None:
        operations.publish_version(self.signal, Definition("binary", f"Is it {self.chance.random()}?", 50))

    def disable(self) -> None:
        signal = self.signal
        operations.disable(signal, self.now)
        operations.activate(signal, self.now)

    def forget(self) -> None:
        oldest = Label.objects.order_by("pk").values("pk")[:4]
        Label.objects.filter(pk__in=list(oldest.values_list("pk", flat=True))).update(created_at=self.now - 9999 * HOUR)
        retention.delete_expired_labels(self.now)

    def delete(self) -> None:
        if len(self.signals) > 1 and self.chance.random() < 0.2:
            self.signal.delete()
            self.signals = list(Signal.objects.all())

    def fold(self) -> None:
        for kept in SUMS.values():
            kept.objects.fold(self.chance.choice([1, 7, 1000]))

    def step(self) -> None:
        every: list[Callable[[], None]] = [
            *(self.want, self.want, self.claim, self.claim, self.finish, self.finish, self.finish, self.renew),
            *(self.release, self.retry, self.publish, self.disable, self.forget, self.delete, self.run),
            *(self.forget_run, self.fold, self.fold),
        ]
        self.now += timedelta(seconds=30)
        self.chance.choice(every)()


@pytest.mark.slow
@pytest.mark.usefixtures("judge")
@pytest.mark.parametrize("seed", range(settings().max_examples // 20))
def test_its_sums_are_exact_after_any_history(seed: int, project: Project, now: datetime) -> None:
    history = History(project, now, random.Random(seed))
    for _ in range(60):
        history.step()
        assert are_exact()
    tasks.fold.call()
    assert are_exact()
    for grain, kept in SUMS.items():
        assert kept.objects.count() == len(counted(grain))
        assert not kept.objects.filter(folded=False).exists()


@pytest.fixture
def history(project: Project, now: datetime) -> History:
    return History(project, now, random.Random(7))


def test_a_claim_writes_no_sum(history: History) -> None:
    history.want_of(history.signals[0], [1, 2, 3])
    before = [kept.objects.count() for kept in SUMS.values()]
    history.claim()
    history.renew()
    history.release()
    assert [kept.objects.count() for kept in SUMS.values()] == before


def test_nothing_is_left_of_a_signal_that_was_deleted(history: History) -> None:
    history.want_of(history.signals[0], [1, 2, 3])
    tasks.fold.call()
    history.signals[0].delete()
    assert all(summed(grain) == {} for grain in SUMS)
    tasks.fold.call()
    assert not any(kept.objects.exists() for kept in SUMS.values())


def test_a_label_that_waits_again_keeps_its_value_in_the_sums(history: History) -> None:
    signal = history.signals[0]
    history.want_of(signal, [1])
    Label.objects.update(status="done", value="yes", labelled_at=history.now, judged_revision=1)
    history.revision = 2
    history.want_of(signal, [1])
    (only,) = sums(signal=signal).totals(named("3d", history.now))
    assert (only.state, only.value, only.count, only.last) == ("waiting", "yes", 1, history.now)


# One history for all that is compared, because it takes seconds to make.
@pytest.mark.slow
def test_its_sums_are_those_of_the_list(history: History) -> None:
    for _ in range(80):
        history.step()
    for hours in (1, 6, 12, 24, 50, 100):
        assert_it_counts_a_range_as_the_list_does(history, hours * HOUR)
    for hours, bars in ((1, ""), (12, ""), (12, "hour"), (24, ""), (60, "day"), (60, "hour")):
        assert_its_bars_hold_the_labels_of_the_list(history, hours * HOUR, bars)
    for key in ("14d", "30d", "90d"):
        assert_its_bars_hold_all_that_a_long_range_does(history, key)
    assert_it_filters_sums_as_labels(history)


def assert_it_counts_a_range_as_the_list_does(history: History, length: timedelta) -> None:
    signal = history.signals[0]
    for start in (history.now - length, history.now - length - timedelta(minutes=37)):
        time_range = between(start, start + length)
        found = sums(signal=signal).including_superseded().totals(time_range)
        listed = Counter(signal.label_set.within(time_range).values_list("status", "value"))
        waiting = {("waiting" if status in {"queued", "running"} else status, value) for status, value in listed}
        assert {(cell.state, cell.value) for cell in found} == waiting
        assert sum(cell.count for cell in found) == listed.total()
        assert sum(cell.cost or 0 for cell in found) == sum(
            cost or 0 for cost in signal.label_set.within(time_range).values_list("cost", flat=True)
        )


def assert_its_bars_hold_the_labels_of_the_list(history: History, length: timedelta, bars: str) -> None:
    signal = history.signals[0]
    time_range = between(history.now - length - timedelta(minutes=37), history.now).with_bucket_width(bars)
    first, step = time_range.first_bucket, time_range.bucket_width
    listed = Counter(
        (first + (time - first) // step * step, value)
        for time, value in signal.label_set.effective()
        .within(time_range)
        .labelled()
        .values_list("target_time", "value")
    )
    assert sums(signal=signal).over_time(time_range)[signal.pk] == listed


def assert_its_bars_hold_all_that_a_long_range_does(history: History, key: str) -> None:
    signal, of_all = history.signals[0], sums(signal=history.signals[0])
    time_range = named(key, history.now)
    for bars in (time_range, time_range.in_buckets(30)):
        listed = Counter(
            (bars.start + (time - bars.start) // bars.bucket_width * bars.bucket_width, value)
            for time, value in signal.label_set.effective().within(bars).labelled().values_list("target_time", "value")
        )
        assert of_all.over_time(bars)[signal.pk] == listed
        trouble = of_all.trouble_over_time(bars)[signal.pk].values()
        cells = of_all.totals(bars)
        assert sum(each.cost for each in trouble) == sum(cell.cost or 0 for cell in cells)
        assert sum(each.failed for each in trouble) == sum(cell.count for cell in cells if cell.state == "failed")


def assert_it_filters_sums_as_labels(history: History) -> None:
    signal = history.signals[0]
    runs = SignalRun.objects.values_list("pk", flat=True)
    filters = [
        LabelFilter(),
        *(LabelFilter(status=status) for status in ("waiting", "done", "failed", "skipped")),
        *(LabelFilter(value=value) for value in ("yes", "no")),
        *(LabelFilter(version=number) for number in (1, 2, 99)),
        *(LabelFilter(run=run) for run in runs),
    ]
    for wanted in filters:
        hours = signal.hours.matching(wanted)
        assert hours.coverage().sampled == signal.label_set.matching(wanted).count()
        labels = signal.label_set.matching(wanted).newest()
        newest = labels.first()
        assert hours.newest() == (floor(newest.target_time, HOUR) if newest else None)
        for most in (1, 3, 100):
            reach = hours.reach(most, history.now)
            found = labels.filter(target_time__gte=reach) if reach else labels.none()
            assert list(found[:most]) == list(labels[:most])


def test_it_tells_versions_apart_and_what_had_no_price(history: History) -> None:
    history.want_of(history.signals[0], [1, 2])
    first, second = Label.objects.order_by("pk")
    Label.objects.filter(pk=first.pk).update(status="done", value="no", labelled_at=history.now, cost=Decimal("0.5"))
    found = {cell.value: cell for cell in sums().totals(named("3d", history.now))}
    assert {cell.version for cell in found.values()} == {first.version_id}
    assert (found["no"].cost, found[""].cost) == (Decimal("0.5"), None)
    assert LabelHour.objects.coverage() == Coverage(waiting=1, done=1)
    assert second.cost is None


@pytest.mark.slow
def test_the_sums_of_labels_that_are_there_already_are_made_with_the_table(history: History) -> None:
    for _ in range(40):
        history.step()
    Label.objects.update(is_effective=True)  # those migrations know no other
    Unsampled.objects.all().delete()  # that migration knows only labels
    LabelHour.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute(import_module("signals.migrations.0004_label_hours").FILL)
    LabelMinute.objects.all().delete()
    with connection.schema_editor() as editor:
        import_module("signals.migrations.0012_label_minutes").fill(None, editor)
    LabelHalfDay.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute(import_module("signals.migrations.0013_label_half_days").FILL)
    assert are_exact()
