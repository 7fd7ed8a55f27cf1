"""The signals that model connections judge."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from signals.models import Label, Signal


def users(connections: Collection[int]) -> Mapping[int, Sequence[tuple[str, str]]]:
    """Return unarchived signals whose current version asks a model of a connection."""
    signals = Signal.objects.unarchived().filter(current_version__connection__in=list(connections)).for_list()
    found: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for signal in signals:
        version = signal.current_version
        if version is not None and version.connection_id is not None:
            found[version.connection_id].append((signal.name, signal.get_absolute_url()))
    return found


def resume(connection: int, now: datetime) -> None:
    Label.objects.resume(connection, now)
