"""What an alert says when something happened to it."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.conf import settings
from django.core.mail import send_mail
from django.tasks import task
from django.template.loader import render_to_string
from django.urls import reverse

from alerts import counts, delivery, links, sentences
from alerts.choices import Comparison, Metric, Operator
from alerts.counts import Sums, value_of
from alerts.measures import Measure
from alerts.models import Alert, AlertEvent, shows_excerpts
from alerts.rules import EventKind
from catalyst import notifications, timerange
from catalyst.notifications import MAX_EXCERPTS, Curve, Excerpt, Fact, Link, Message, Severity
from catalyst.timerange import DAY
from signals.filters import LabelFilter
from signals.models import Signal
from signals.results.rows import load_rows

SEVERITIES = {
    EventKind.FIRED: Severity.CRITICAL,
    EventKind.WARNED: Severity.WARNING,
    EventKind.RESOLVED: Severity.RESOLVED,
    EventKind.NO_DATA: Severity.INFO,
    EventKind.DELAYED: Severity.INFO,
    EventKind.INVALID: Severity.WARNING,
}
HAPPENED = {
    EventKind.FIRED: "fires",
    EventKind.WARNED: "warns",
    EventKind.RESOLVED: "has resolved",
    EventKind.NO_DATA: "has no data",
    EventKind.DELAYED: "is delayed",
    EventKind.INVALID: "can't be evaluated",
}
WITH_EXAMPLES = {EventKind.FIRED, EventKind.WARNED}
# The chart shows so many windows, each moved by a quarter of its length.
CURVE_WINDOWS, CURVE_STEPS = 12, 4
MAX_CURVE = 7 * DAY
MAX_REASON_CHARACTERS = 300


def announce(events: Sequence[AlertEvent], now: datetime) -> None:
    """Queue a message about each event for the channels of its alert, unless it is silenced.

    What resolves is told to the channels that were told of its start in any case, so that no incident stays open.
    """
    channels = _channels([event for event in events if not event.silenced])
    for event in events:
        if event.kind == EventKind.INVALID and not event.silenced:
            tell_owner.enqueue(event.alert_id, event.reason)
        found = [] if event.silenced else channels.get(event.alert_id, [])
        if event.kind == EventKind.RESOLVED:
            found = [*found, *_told_of(AlertEvent.objects.filter(alert=event.alert_id).unresolved(event.cursor))]
        _tell(event, found, now)


def announce_end(event: AlertEvent, starts: Sequence[AlertEvent], now: datetime) -> None:
    """Queue a message for the channels that were told of the start of what somebody ended."""
    _tell(event, _told_of(starts), now)


def _told_of(starts: Sequence[AlertEvent]) -> list[int]:
    return [channel for event in starts for channel in delivery.told(event.project_id, event.key)]


def _tell(event: AlertEvent, channels: Collection[int], now: datetime) -> None:
    if channels:
        kind = f"alert.{event.kind}"
        notifications.notify(event.project_id, kind, event.key, message_of(event), channels, now=now)


@task
def tell_owner(alert_id: int, reason: str) -> None:
    """Mail the creator of an alert that it can't be evaluated any more.

    At most once: pages show it anyway, and its channels are told.
    """
    alert = Alert.objects.select_related("created_by", "project").filter(pk=alert_id).first()
    owner = alert.created_by if alert else None
    if alert is None or owner is None or not owner.email or not settings.SENDS_MAIL:
        return
    if not alert.project.memberships.filter(user=owner, user__is_active=True).exists():
        return
    text = render_to_string("alerts/mail/invalid.txt", {"alert": alert, "reason": reason, "link": _page_of(alert)})
    send_mail(f"An alert of yours can't be evaluated: {' '.join(alert.name.split())}", text, None, [owner.email])


def _channels(events: Sequence[AlertEvent]) -> Mapping[int, list[int]]:
    channels: dict[int, list[int]] = defaultdict(list)
    pairs = Alert.channels.through.objects.filter(alert__in={event.alert_id for event in events})
    for alert_id, channel_id in pairs.order_by("pk").values_list("alert_id", "channel_id") if events else ():
        channels[alert_id].append(channel_id)
    return channels


def message_of(event: AlertEvent) -> Message:
    """Reads the labels of the window for examples, and the sums before it for the chart."""
    alert, kind = event.alert, EventKind(event.kind)
    signal = alert.signal
    has_excerpts = signal is not None and kind in WITH_EXAMPLES and shows_excerpts(event.project_id)
    has_value = kind not in {EventKind.NO_DATA, EventKind.DELAYED, EventKind.INVALID}
    return Message(
        severity=SEVERITIES[kind],
        title=f"{alert.name} {HAPPENED[kind]}",
        text=" ".join(_text(event, has_value=has_value)),
        project=alert.project.name,
        sent_for=event.window_end,
        group=f"alert-{alert.pk}",
        facts=tuple(_facts(event)),
        excerpts=tuple(_excerpts(event, signal)) if signal and has_excerpts else (),
        curve=_curve(event),
        links=tuple(_links(event, signal)),
    )


def _text(event: AlertEvent, *, has_value: bool) -> Iterator[str]:
    measure = event.alert.measure
    if not has_value:
        yield event.reason
        return
    label = value_of(event.alert)
    if event.observed is None and event.before is None:
        yield event.reason or f"There are too few {measure.metric.noun} to tell."
        return
    yield f"{sentences.metric_text(measure, label)}: {_observed(event, measure)}."
    if event.kind != EventKind.RESOLVED:
        yield sentences.fires_when(measure, event.alert.threshold, label)
    if event.labelled < event.requested:
        yield f"{event.labelled:,} of {event.requested:,} are judged."
    if event.reason:
        yield event.reason


def _observed(event: AlertEvent, measure: Measure) -> str:
    return sentences.FROM_ZERO if event.observed is None else sentences.value_text(measure, event.observed)


def _facts(event: AlertEvent) -> Iterator[Fact]:
    alert = event.alert
    measure = alert.measure
    start = event.window_end - measure.window
    if alert.signal is not None:
        yield Fact(name="Signal", value=alert.signal.name)
    yield Fact(name="Agent", value=str(alert.agent))
    if event.kind in {EventKind.FIRED, EventKind.WARNED, EventKind.RESOLVED}:
        if event.observed is not None or event.before is not None:
            yield Fact(name="Value", value=_observed(event, measure))
        yield Fact(name="Threshold", value=sentences.threshold_text(measure, alert.threshold))
    yield Fact(name="Window", value=f"{start:%Y-%m-%d %H:%M} to {_end(start, event.window_end)} UTC")
    judged = f"{event.labelled:,} of {event.requested:,} judged"
    yield Fact(
        name=measure.metric.noun.capitalize(),
        value=judged if event.labelled < event.requested else f"{event.labelled:,}",
    )
    if trend := _trend(event, measure):
        yield Fact(name="Trend", value=trend)


def _end(start: datetime, end: datetime) -> str:
    return f"{end:%H:%M}" if start.date() == end.date() else f"{end:%Y-%m-%d %H:%M}"


def _trend(event: AlertEvent, measure: Measure) -> str:
    """Against the window before, in words."""
    if not measure.compares or event.before is None:
        return ""
    amounts = Measure(measure.metric, Comparison.ABSOLUTE, measure.operator, measure.window)
    return f"It was {sentences.value_text(amounts, event.before)} in the window before."


def _excerpts(event: AlertEvent, signal: Signal) -> Iterator[Excerpt]:
    """The newest labels of the window: with the value that is counted, if there is too much of it."""
    alert = event.alert
    value = value_of(alert) if alert.operator == Operator.GTE and alert.metric != Metric.LABEL_VOLUME else ""
    version = event.version
    wanted = LabelFilter(value, version=version.number if version else None, counted=links.counted_by(event))
    newest = signal.label_set.matching(wanted).newest()[:MAX_EXCERPTS] if version else []
    for row in load_rows(alert.project, signal.scope, list(newest)):
        path = reverse("signals:label-detail", args=[alert.project.slug, signal.pk, row.label.pk])
        link = Link(text=row.title or row.id, url=_absolute(path))
        yield Excerpt(label=row.label.value, reason=row.label.reason[:MAX_REASON_CHARACTERS], link=link)


def _curve(event: AlertEvent) -> Curve | None:
    alert = event.alert
    if event.version_id is None and alert.signal_id is not None:
        return None
    measure, end = alert.measure, event.window_end
    step = max(measure.window / CURVE_STEPS, measure.step)
    steps = int(min(CURVE_WINDOWS * measure.window, MAX_CURVE) / step)
    start = timerange.floor(end - steps * step, measure.step) - 2 * measure.window
    sums = counts.sums_of(alert, start, end)
    points = (_point(sums, event.version_id, measure, end - back * step) for back in range(steps, -1, -1))
    title = sentences.metric_text(measure, value_of(alert))
    return Curve(title=title, points=tuple(points), threshold=alert.threshold)


def _point(sums: Sums, version_id: int | None, measure: Measure, moment: datetime) -> float | None:
    end = timerange.floor(moment, measure.step)
    start = end - measure.window
    before = sums.counts(version_id, start - measure.window, start) if measure.compares else None
    value = measure.value(sums.counts(version_id, start, end), before)
    return None if value == float("inf") else value


def _links(event: AlertEvent, signal: Signal | None) -> Iterator[Link]:
    alert = event.alert
    page = _page_of(alert)
    yield Link(text="Open the alert", url=page)
    if signal is not None:
        counted = links.counted_by(event)
        if version := event.version:
            path = links.labels_of(alert, counted, version.number)
            yield Link(text="Labels of this window", url=_absolute(path))
        path = links.signal_at(alert, counted.start, counted.end, value_of(alert))
        yield Link(text="Signal at this time", url=_absolute(path))
    else:
        yield from _agent_links(event)
    yield Link(text="Mute", url=f"{page}#mute")


def _agent_links(event: AlertEvent) -> Iterator[Link]:
    alert = event.alert
    length = alert.measure.window + (timedelta() if alert.measure.is_hourly else links.BEFORE_SETTLING)
    query = {"from": timerange.iso(event.window_end - length), "to": timerange.iso(event.window_end)}
    agent = _absolute(reverse("traces:agent-detail", args=[alert.project.slug, alert.agent_id]))
    yield Link(text="The agent at this time", url=f"{agent}?{urlencode(query)}")
    traces = _absolute(reverse("traces:agent-traces", args=[alert.project.slug, alert.agent_id]))
    yield Link(text="Failed traces of this time", url=f"{traces}?{urlencode({'status': 'error', **query})}")


def _page_of(alert: Alert) -> str:
    return _absolute(reverse("alerts:alert-detail", args=[alert.project.slug, alert.pk]))


def _absolute(path: str) -> str:
    return f"{settings.PUBLIC_URL}{path}"
