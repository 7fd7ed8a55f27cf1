"""Health of alerts: their evaluation, the queue of messages, failures and disabled channels."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Max, Min

from alerts.choices import Window
from alerts.models import AlertState, Channel, Delivery
from alerts.rules import Level
from catalyst import formats
from catalyst.health import (
    RECENT,
    Check,
    Metric,
    Queue,
    capped,
    check,
    check_queue,
    count_rows,
    gauge,
    gauge_of,
    graded,
    queue_of,
)
from catalyst.timerange import HOUR

# A window waits a quarter of an hour for its labels.
EVALUATION_PATIENCE = timedelta(minutes=20)
PATIENCE = timedelta(minutes=5)
HOURLY = [window for window in Window if window.length >= HOUR]
MAX_NAMED = 5


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Of enabled alerts. `evaluated_until`: of the one furthest behind. `evaluated_at`: the last time at all."""

    alerts: int
    firing: int
    evaluated_until: datetime | None
    evaluated_at: datetime | None

    def lag(self, now: datetime) -> timedelta:
        return now - self.evaluated_until if self.evaluated_until else timedelta()


def evaluation(_now: datetime) -> Evaluation:
    states = AlertState.objects.filter(alert__enabled=True, alert__archived_at=None)
    # Windows of whole hours end once an hour, so they don't tell how far the evaluation is.
    minutely = states.exclude(alert__signal=None, alert__window__in=HOURLY)
    return Evaluation(
        alerts=count_rows(states),
        firing=count_rows(states.filter(level=Level.FIRING)),
        **minutely.aggregate(evaluated_until=Min("evaluated_until")),
        **states.aggregate(evaluated_at=Max("evaluated_at")),
    )


def check_evaluation(found: Evaluation, now: datetime) -> Iterator[Check]:
    if not found.alerts:
        yield check("Alerts", "evaluation", "ok", "no alert is enabled", "")
        return
    last = formats.ago(found.evaluated_at, now) if found.evaluated_at else "never"
    text = f"{capped(found.alerts)} enabled, {capped(found.firing)} firing; last evaluated {last}, "
    text += f"all of them up to {formats.lasting(found.lag(now))} ago"
    advice = "Alerts neither fire nor resolve in time. See whether the worker runs, and whether it is overloaded."
    yield check("Alerts", "evaluation", graded(found.lag(now) / EVALUATION_PATIENCE, 1, 3), text, advice)


def evaluation_metrics(found: Evaluation, now: datetime) -> Iterator[Metric]:
    yield gauge_of("alerts", "Enabled alerts.", found.alerts)
    yield gauge_of("alerts_firing", "Enabled alerts that fire.", found.firing)
    text = "Seconds that the alert furthest behind was not evaluated for. A window waits for its labels for up to 900."
    yield gauge_of("alerts_lag_seconds", text, found.lag(now).total_seconds())


@dataclass(frozen=True, slots=True)
class Deliveries:
    """`disabled`: channels that are disabled, up to MAX_NAMED of them, and their number."""

    queue: Queue
    retried: int
    failed: int
    dropped: int
    channels: int
    disabled: list[Channel]
    disabled_count: int


def deliveries(now: datetime) -> Deliveries:
    recent = Delivery.objects.filter(created_at__gte=now - RECENT)
    disabled = Channel.objects.undeleted().filter(disabled_at__isnull=False)
    return Deliveries(
        queue=queue_of(Delivery.objects.open(), "due_at", now),
        retried=count_rows(Delivery.objects.open().filter(attempts__gt=0)),
        failed=count_rows(recent.filter(state=Delivery.State.FAILED)),
        dropped=count_rows(recent.filter(state=Delivery.State.DROPPED)),
        channels=count_rows(Channel.objects.undeleted()),
        disabled=list(disabled.select_related("project").order_by("-disabled_at")[:MAX_NAMED]),
        disabled_count=count_rows(disabled),
    )


def check_deliveries(found: Deliveries, now: datetime) -> Iterator[Check]:
    advice = "See whether the worker runs, and whether this machine reaches the services of the channels."
    yield check_queue("messages", found.queue, "messages are ready to be sent", PATIENCE, now, advice)
    text = f"{capped(found.retried)} are tried again; of the last 24 hours {capped(found.failed)} failed and "
    text += f"{capped(found.dropped)} were not sent"
    advice = "Settings, Channels of the project says why, for each message."
    yield check("Queues", "undelivered messages", "warn" if found.failed else "ok", text, advice)
    names = "; ".join(f"{each} of {each.project}: {each.disabled_reason.removesuffix('.')}" for each in found.disabled)
    plural = "" if found.channels == 1 else "s"
    text = f"{found.channels:,} channel{plural}, {found.disabled_count:,} disabled{f': {names}' if names else ''}"
    advice = "An owner of the project tests and enables a channel under Settings, Channels."
    yield check("Queues", "channels", "warn" if found.disabled else "ok", text, advice)


def delivery_metrics(found: Deliveries, now: datetime) -> Iterator[Metric]:
    yield gauge_of("deliveries_waiting", "Messages on their way to channels, counted up to 100,000.", found.queue.total)
    lag = found.queue.lag(now).total_seconds()
    yield gauge_of("delivery_lag_seconds", "Seconds for which the oldest of them has been due.", lag)
    text = "Messages of the last 24 hours that were not delivered, by state, counted up to 100,000."
    yield gauge(
        "deliveries_undelivered", text, [({"state": "failed"}, found.failed), ({"state": "dropped"}, found.dropped)]
    )
    yield gauge_of("channels_disabled", "Channels that are disabled.", found.disabled_count)
