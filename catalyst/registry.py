"""Entries that apps add to Catalyst: periodic work, maintenance, retention, health, navigation, tabs and more.

An app calls `register` in `AppConfig.ready`.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from catalyst.health import Check, Metric

type TabPage = Literal["agent", "signal", "settings"]


def _always(_now: datetime) -> bool:
    return True


def _none(_project: Any) -> int:
    return 0


def _nothing(_value: Any, _now: datetime) -> tuple[()]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    # Entries of a kind are sorted by `order`, then by name.
    name: str
    order: int

    def unique(self) -> set[str]:
        # Values that no other entry of the kind may have.
        return {f"name {self.name}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodicTask(Entry):
    """Enqueue the task at the dotted path `task` every `interval` if `has_work` returns True.

    An overdue task is enqueued even without work, so that the doctor sees that it can run. Operators read the rest:
    `label` names the work, `description` says what it does, and `lack` what is wrong while it does not run.
    """

    interval: timedelta
    task: str
    queue: str = "default"
    has_work: Callable[[datetime], bool] = _always
    label: str
    description: str
    lack: str

    def __post_init__(self) -> None:
        queues = settings.TASKS["default"]["QUEUES"]
        if self.queue not in queues:
            raise ImproperlyConfigured(f"{self.name}: no queue {self.queue} in TASKS, only {', '.join(queues)}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance(Entry):
    """`run` is called every minute, with `at_start` also before the processes start. Must be short and repeatable."""

    run: Callable[[datetime], object]
    at_start: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation(Entry):
    """Work that `manage.py up` starts in a process of its own, after it has printed its address.

    `run` may take minutes, and be killed. It must be repeatable, and quick if nothing is left to do.
    """

    run: Callable[[], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention(Entry):
    """`delete` removes expired rows in bounded batches and returns their number. Called every minute.

    Paused for an hour after a day or more without a run, because the machine's clock may have jumped.
    """

    delete: Callable[[datetime], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe(Entry):
    """One part of the instance's health, for the doctor, the operator page and /metrics.

    Only `collect` reads the database; its result goes to `judge` and `metrics`, and to the optional `template` as
    `value`. With `decides_readiness` a bad check makes /readyz fail.
    """

    collect: Callable[[datetime], Any]
    judge: Callable[[Any, datetime], Iterable[Check]] = _nothing
    metrics: Callable[[Any, datetime], Iterable[Metric]] = _nothing
    template: str = ""
    decides_readiness: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Section(Entry):
    """A navigation entry.

    `key`: its keyboard shortcut, pressed after g. `folders`: the first parts of the paths of its pages. `rows`: what it
    lists of a project as long as nothing is chosen on its page, to show their number.
    `urgent`: how many of its things in a project need attention, as `urgency` says. Shown instead.
    """

    url_name: str
    icon: str
    key: str
    folders: tuple[str, ...]
    rows: Callable[[Any], Any] | None = None
    urgent: Callable[[Any], int] = _none
    urgency: str = ""

    def unique(self) -> set[str]:
        folders = {f"folder {folder}" for folder in self.folders}
        return {f"name {self.name}", f"key {self.key}"} | folders


@dataclass(frozen=True, slots=True, kw_only=True)
class Tab(Entry):
    """A tab. Its view passes `name` to the template as `tab`. `url_name` takes the ids of the page."""

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
    """An app's part of the project Demo. All functions get the project's id.

    `load` runs after a week of traffic up to now was stored, and must be safe to repeat. `go_on` runs every minute from
    then on. `erase` deletes the app's data in bounded transactions.
    """

    load: Callable[[int, datetime], object] = _nothing
    go_on: Callable[[int, datetime], object] = _nothing
    erase: Callable[[int], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRows(Entry):
    """Rows that belong to an agent. `move` gives those of an agent that is merged (first) to another one (second).

    Called in the transaction that merges them. Rows that are left are deleted with the merged agent.
    """

    move: Callable[[Any, Any], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelUse(Entry):
    """A part of the product that asks models through model connections.

    `users` gets ids of connections, and returns for each what stops without it, as (name, path of its page). `resume`
    makes work due that waits for a connection. It is called after a change of the connection.
    """

    users: Callable[[Collection[int]], Mapping[int, Sequence[tuple[str, str]]]]
    resume: Callable[[int, datetime], object] = _nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelUse(Entry):
    """A part of the product that sends messages to channels.

    `users` gets ids of channels, and returns for each what sends to it, as (name, path of its page).
    """

    users: Callable[[Collection[int]], Mapping[int, Sequence[tuple[str, str]]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPage(Entry):
    """A page about one's own account that the profile links to."""

    url_name: str
    label: str
    about: str


KINDS: tuple[type[Entry], ...] = (
    PeriodicTask,
    Maintenance,
    Preparation,
    Retention,
    Probe,
    Section,
    Tab,
    DemoData,
    AgentRows,
    ModelUse,
    ChannelUse,
    AccountPage,
)
_entries: dict[type[Entry], list[Entry]] = {kind: [] for kind in KINDS}


def register(*entries: Entry) -> None:
    """Raises ImproperlyConfigured for an unknown kind and for a duplicate."""
    for entry in entries:
        kind = type(entry)
        if kind not in _entries:
            kinds = ", ".join(allowed.__name__ for allowed in KINDS)
            raise ImproperlyConfigured(f"Can't register a {kind.__name__}, only {kinds}.")
        # Django calls ready() again for every registry of apps that is made beside the global one.
        if any(entry is other for other in _entries[kind]):
            continue
        _check_unique(entry, _entries[kind])
        _entries[kind].append(entry)
        _entries[kind].sort(key=lambda item: (item.order, item.name))


def _check_unique(entry: Entry, others: Iterable[Entry]) -> None:
    for other in others:
        if taken := entry.unique() & other.unique():
            names = ", ".join(sorted(taken))
            raise ImproperlyConfigured(f"Two entries of kind {type(entry).__name__} have {names}.")


def unregister(*entries: Entry) -> None:
    """For tests."""
    for entry in entries:
        _entries[type(entry)].remove(entry)


def users_of(kind: type[ModelUse | ChannelUse], ids: Collection[int]) -> dict[int, list[tuple[str, str]]]:
    """Return what uses each of these rows, by its id, as (name, path of the page)."""
    used: dict[int, list[tuple[str, str]]] = {pk: [] for pk in ids}
    for entry in entries(kind):
        for pk, found in entry.users(used.keys()).items():
            used[pk] += found
    return used


def entries[Kind: Entry](kind: type[Kind]) -> tuple[Kind, ...]:
    return tuple(entry for entry in _entries[kind] if isinstance(entry, kind))
