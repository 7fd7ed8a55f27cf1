"""Which alerts send to a channel."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from alerts.models import Alert


def users(channels: Collection[int]) -> Mapping[int, Sequence[tuple[str, str]]]:
    """Return the unarchived alerts of each channel, as (name, path of the page)."""
    found: dict[int, list[tuple[str, str]]] = defaultdict(list)
    rows = Alert.channels.through.objects.filter(channel__in=channels, alert__archived_at=None)
    for row in rows.select_related("alert__project").order_by("alert__name", "alert_id"):
        found[row.channel_id].append((row.alert.name, row.alert.get_absolute_url()))
    return found
