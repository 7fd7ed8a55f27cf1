"""Tables of alerts: rules, what became of them, channels and deliveries."""

from alerts.models.alert import Alert, AlertState
from alerts.models.channel import Channel, Recipient
from alerts.models.delivery import Delivery
from alerts.models.event import AlertEvent
from alerts.models.message_settings import MessageSettings, shows_excerpts

__all__ = ["Alert", "AlertEvent", "AlertState", "Channel", "Delivery", "MessageSettings", "Recipient", "shows_excerpts"]
