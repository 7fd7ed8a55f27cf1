"""The schedules that ask a model through a connection, and those that tell a channel."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from halo.models import Schedule
from halo.models.schedule import ScheduleQuerySet

type Users = Mapping[int, Sequence[tuple[str, str]]]


def of_connections(connections: Collection[int]) -> Users:
    """Return the unarchived schedules of each connection, as (title, path of the page)."""
    found: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for schedule in _unarchived().filter(connection__in=list(connections)):
        assert schedule.connection_id is not None
        found[schedule.connection_id].append((schedule.title, schedule.get_absolute_url()))
    return found


def of_channels(channels: Collection[int]) -> Users:
    """Return the unarchived schedules of each channel, as (title, path of the page)."""
    found: dict[int, list[tuple[str, str]]] = defaultdict(list)
    wanted = set(channels)
    for schedule in _unarchived().filter(channels__overlap=list(channels)):
        for channel in wanted.intersection(schedule.channels):
            found[channel].append((schedule.title, schedule.get_absolute_url()))
    return found


def _unarchived() -> ScheduleQuerySet:
    return Schedule.objects.unarchived().select_related("project").order_by("title", "pk")
