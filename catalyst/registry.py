"""What each app adds to the whole: periodic work, maintenance, retention, health, navigation, tabs and demo data.

An app calls `register` in `AppConfig.ready`. The scheduler, the doctor and the pages iterate over the entries, so a new
app needs no change in any other.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from catalyst.health import Check, Metric

type TabPage = Literal["agent", "signal", "settings"]


def _always(_now: datetime) -> bool:
    return True


def _nothing(_value: Any, _now: datetime) -> tuple[()]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Entries of a kind are sorted by `order`, then by name."""

    name: str
    order: int

    def unique(self) -> set[str]:
        """What no other entry of this kind may have."""
        return {f"name {self.name}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodicTask(Entry):
    """The scheduler enqueues the task at the dotted path `task` every `interval`, if `has_work` returns True.

    Without work it is enqueued only when it is overdue, so that the doctor sees that it would run.
    `about` tells operators what the task does.
    """

    interval: timedelta
    task: str
    queue: str = "default"
    has_work: Callable[[datetime], bool] = _always
    about: str

    def __post_init__(self) -> None:
        queues = settings.TASKS["default"]["QUEUES"]
        if self.queue not in queues:
            raise ImproperlyConfigured(f"{self.name}: no queue {self.queue} in TASKS, only {', '.join(queues)}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance(Entry):
    """Runs every minute, and `at_start` also before the processes start. Must be safe to repeat, and short."""

    run: Callable[[datetime], object]
    at_start: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention(Entry):
    """Deletes what has expired, in bounded batches, and returns how many rows. Runs every minute.

    It does not run in the first hour after a day or more without a minute: the clock of the machine may have jumped.
    """

    delete: Callable[[datetime], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe(Entry):
    """One part of the health of the instance, for the doctor, the operator page and /metrics.

    `collect` reads the database; `judge` and `metrics` get what it returned, and read nothing. With a `template` the
    operator page shows it, given as `value`, instead of a table of the checks. A bad check of a probe that
    `decides_readiness` makes /readyz fail.
    """

    collect: Callable[[datetime], Any]
    judge: Callable[[Any, datetime], Iterable[Check]] = _nothing
    metrics: Callable[[Any, datetime], Iterable[Metric]] = _nothing
    template: str = ""
    decides_readiness: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Section(Entry):
    """An entry of the main navigation. `key` opens it after g; `folders` are the first parts of its pages' paths."""

    url_name: str
    icon: str
    key: str
    folders: tuple[str, ...]

    def unique(self) -> set[str]:
        folders = {f"folder {folder}" for folder in self.folders}
        return {f"name {self.name}", f"key {self.key}"} | folders


@dataclass(frozen=True, slots=True, kw_only=True)
class Tab(Entry):
    """A tab of a page. The view of the tab passes `name` to the template as `tab`; `url_name` takes the page's ids."""

    page: TabPage
    label: str
    url_name: str
    owners_only: bool = False

    def __post_init__(self) -> None:
        pages = get_args(TabPage.__value__)
        if self.page not in pages:
            raise ImproperlyConfigured(f"Tab {self.name}: no page {self.page} with tabs, only {', '.join(pages)}.")

    def unique(self) -> set[str]:
        return {f"name {self.name} on page {self.page}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoData(Entry):
    """An app's part of the project Demo. Both functions get the id of the project.

    `load` runs after the traffic of a week that ends now was stored, and must be safe to repeat. `erase` deletes what
    the app keeps of the project, in bounded pieces, each a transaction of its own.
    """

    load: Callable[[int, datetime], object] = _nothing
    erase: Callable[[int], object]


KINDS: tuple[type[Entry], ...] = (PeriodicTask, Maintenance, Retention, Probe, Section, Tab, DemoData)
_entries: dict[type[Entry], list[Entry]] = {kind: [] for kind in KINDS}


def register(*entries: Entry) -> None:
    """Add entries. Raises ImproperlyConfigured for an unknown kind and for what another entry of the kind has."""
    for entry in entries:
        kind = type(entry)
        if kind not in _entries:
            kinds = ", ".join(known.__name__ for known in KINDS)
            raise ImproperlyConfigured(f"Can't register a {kind.__name__}, only {kinds}.")
        # Django calls ready() again for every registry of apps that is made beside the global one.
        if any(entry is other for other in _entries[kind]):
            continue
        _check_unique(entry, _entries[kind])
        _entries[kind].append(entry)
        _entries[kind].sort(key=lambda one: (one.order, one.name))


def _check_unique(entry: Entry, others: Iterable[Entry]) -> None:
    for other in others:
        if taken := entry.unique() & other.unique():
            names = ", ".join(sorted(taken))
            raise ImproperlyConfigured(f"Two entries of kind {type(entry).__name__} have {names}.")


def unregister(*entries: Entry) -> None:
    """Remove entries. For tests."""
    for entry in entries:
        _entries[type(entry)].remove(entry)


def entries[Kind: Entry](kind: type[Kind]) -> tuple[Kind, ...]:
    """All entries of a kind, in order."""
    return tuple(entry for entry in _entries[kind] if isinstance(entry, kind))
