"""All kinds of channels."""

from alerts.channels.apprise_services import Apprise
from alerts.channels.kind import Kind
from alerts.channels.mail import Mail
from alerts.channels.pagerduty import PagerDuty
from alerts.channels.slack import SlackBot, SlackWebhook
from alerts.channels.webhook import Webhook

KINDS: dict[str, Kind] = {
    kind.key: kind for kind in (SlackBot(), SlackWebhook(), Mail(), Webhook(), PagerDuty(), Apprise())
}
