"""What an alert says when something happened to it."""

from collections.abc import Sequence
from datetime import datetime

from alerts.models import AlertEvent


def announce(events: Sequence[AlertEvent], now: datetime) -> None:
    """Queue messages about events for the channels of their alerts."""
