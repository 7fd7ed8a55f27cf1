"""Where the numbers of an alert lead."""

from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.urls import reverse

from alerts.models import Alert, AlertEvent
from catalyst import timerange
from catalyst.timerange import HOUR
from signals.filters import Counted
from signals.models import Signal

# A target settles after it began.
BEFORE_SETTLING = HOUR


def counted_by(event: AlertEvent) -> Counted:
    """The labels that an event counted."""
    return Counted(event.window_end - event.as_it_was.measure.window, event.window_end, event.created_at)


def labels_of(alert: Alert, counted: Counted, version: int) -> str:
    """The path of the list of the labels of a signal that were counted. `version`: its number."""
    # The list goes by the window, whatever the range.
    return _page(alert, {**began_in(alert, counted.start, counted.end), "version": str(version), **counted.query})


def began_in(alert: Alert, start: datetime, end: datetime) -> dict[str, str]:
    """The range in which targets began that settled from `start` to `end`."""
    began = start - (_settling(alert.signal) if alert.signal else timedelta())
    return {"from": timerange.iso(began), "to": timerange.iso(end)}


def signal_at(alert: Alert, start: datetime, end: datetime, label: str) -> str:
    """The path of a signal at the time of a window."""
    return _page(alert, began_in(alert, start, end) | ({"label": label} if label else {}))


def _page(alert: Alert, query: dict[str, str]) -> str:
    return f"{reverse('signals:signal-detail', args=[alert.project.slug, alert.signal_id])}?{urlencode(query)}"


def _settling(signal: Signal) -> timedelta:
    return BEFORE_SETTLING + (signal.quiet_time if signal.scope == "session" else timedelta())
