"""The page of an alert: its state, its values over time, and what happened to it."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from alerts import counts, links, sentences
from alerts.counts import Watched
from alerts.forms.alerts import MuteForm
from alerts.models import Alert, AlertEvent, Channel, Delivery
from alerts.operations.records import rows
from alerts.rules import EventKind
from alerts.views import charts
from alerts.views.alert_actions import alert_of
from catalyst import timerange
from catalyst.core.access import ProjectRequest
from catalyst.htmx import render
from catalyst.params import cursor
from signals.filters import Counted

PAGE = 30
KINDS = {
    EventKind.FIRED: "Fired",
    EventKind.WARNED: "Warned",
    EventKind.RESOLVED: "Resolved",
    EventKind.NO_DATA: "No data",
    EventKind.DELAYED: "Delayed",
    EventKind.INVALID: "Invalid",
}
# The colors of states.
TONES = {EventKind.FIRED: "firing", EventKind.WARNED: "warning", EventKind.RESOLVED: "ok"}


@dataclass(frozen=True, slots=True)
class Told:
    """Messages of an event to a channel. A mail channel has one for each address."""

    channel: Channel
    state: str
    error: str
    count: int

    @property
    def text(self) -> str:
        state = Delivery.State(self.state).label.lower()
        return f"{self.channel}: {state}" if self.count == 1 else f"{self.channel}: {self.count} {state}"


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event with its messages."""

    event: AlertEvent
    told: Sequence[Told]
    # Where the number of labels leads; empty for numbers of an agent.
    path: str

    @property
    def text(self) -> str:
        return KINDS[EventKind(self.event.kind)]

    @property
    def tone(self) -> str:
        return TONES.get(EventKind(self.event.kind), "no_data")

    @property
    def value(self) -> str:
        """The value, in the unit of the rule as it was."""
        return _value(self.event)


def _value(event: AlertEvent) -> str:
    measure = event.as_it_was.measure
    if event.observed is not None:
        return sentences.value_text(measure, event.observed)
    return sentences.FROM_ZERO if measure.compares and event.labelled else ""


@require_safe
def alert_detail(request: ProjectRequest, pk: int) -> HttpResponse:
    """Show an alert and its events in the range, newest first."""
    alert, now = alert_of(request, pk), timezone.now()
    watch = counts.of_alert(alert)
    time_range = timerange.parse(request.GET.dict(), now)
    kind = request.GET.get("kind", "")
    found = alert.events.newest().filter(window_end__gte=time_range.start, window_end__lt=time_range.end)
    shown = found.filter(kind=kind) if kind in KINDS else found
    last = cursor(request.GET.get("after"))
    events = list((shown.after(last) if last else shown)[: PAGE + 1])
    context = {
        "alert": alert,
        "row": rows([alert], now)[0],
        "is_muted": alert.is_muted(now),
        "mute_form": MuteForm(),
        "time_range": time_range,
        "kinds": [("", "All"), *((each, text) for each, text in KINDS.items() if each == kind or each in LISTED)],
        "kind": kind,
        "events": _with_messages(alert, events[:PAGE]),
        "labels_path": _labels_now(alert, watch) if alert.signal else "",
        "more": events[PAGE - 1].place if len(events) > PAGE else None,
    }
    if last is None:
        marked = list(found.filter(kind__in=charts.MARKED)[: charts.MAX_MARKS])
        context["figure"] = charts.of_range(alert, watch, time_range, marked, now)
    return render(request, "alerts/detail.html", context, partial="event-rows")


LISTED = (EventKind.FIRED, EventKind.RESOLVED)


def _labels_now(alert: Alert, watch: Watched) -> str:
    """The path of the labels of the newest window."""
    state = alert.state
    part = watch.part_at(state.evaluated_until)
    if part is None or not state.requested:
        return ""
    end = state.evaluated_until
    return links.labels_of(alert, Counted(end - alert.measure.window, end, state.evaluated_at), part.number)


def _with_messages(alert: Alert, events: Sequence[AlertEvent]) -> list[EventRow]:
    sent: dict[str, Counter[tuple[Channel, str, str]]] = defaultdict(Counter)
    keys = [event.key for event in events]
    project = events[0].project_id if events else None
    found = Delivery.objects.filter(project=project, event_key__in=keys).select_related("channel").defer("message")
    for delivery in found.order_by("channel__name", "channel", "state"):
        error = "" if delivery.state == Delivery.State.SENT else delivery.error
        sent[delivery.event_key][delivery.channel, delivery.state, error] += 1
    paths = _paths(alert, events)
    return [
        EventRow(event, [Told(*what, count) for what, count in sent[event.key].items()], paths.get(event.pk, ""))
        for event in events
    ]


def _paths(alert: Alert, events: Sequence[AlertEvent]) -> dict[int, str]:
    """Where the numbers of labels lead, by event."""
    numbers = dict(alert.signal.versions.values_list("pk", "number")) if alert.signal and events else {}
    return {
        event.pk: links.labels_of(alert, links.counted_by(event), numbers[event.version_id])
        for event in events
        if event.version_id in numbers
    }
