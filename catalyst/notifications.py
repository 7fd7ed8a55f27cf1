"""Messages to people, through channels that a project set up.

    notify(project.pk, "alert.fired", "alert-7-fired-20261130T1000Z", message, [channel.pk])

The app with the channels registers how they are delivered, so that every app can send without importing it.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MAX_EXCERPTS = 3
MAX_POINTS = 200


class Severity(StrEnum):
    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"
    RESOLVED = "resolved"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Link(_Value):
    """`url` is absolute."""

    text: str
    url: str


class Fact(_Value):
    name: str
    value: str


class Excerpt(_Value):
    """An example from traffic, which is hostile text. Channels escape it."""

    label: str
    reason: str
    text: str = ""
    link: Link


class Curve(_Value):
    """A small chart: evenly spaced values, null where unknown, and a line at the threshold."""

    title: str
    points: Annotated[tuple[float | None, ...], Field(max_length=MAX_POINTS)]
    threshold: float | None = None


class Message(_Value):
    """`title` fits into a subject. `text` says what happened in one or two sentences. The first link is the main one.

    `group`: names what goes on over several messages, such as an alert from firing to resolving.
    """

    severity: Severity
    title: str
    text: str
    project: str
    sent_for: datetime
    group: str
    facts: tuple[Fact, ...] = ()
    excerpts: Annotated[tuple[Excerpt, ...], Field(max_length=MAX_EXCERPTS)] = ()
    curve: Curve | None = None
    links: tuple[Link, ...] = ()


# project id, kind, event key, message, ids of channels, now
type Deliver = Callable[[int, str, str, Message, Collection[int], datetime], None]
# project id, event key of an earlier message or "" -> ids of channels
type Choose = Callable[[int, str], Collection[int]]
# project id -> (id, name) of its channels
type Names = Callable[[int], Sequence[tuple[int, str]]]

_deliver: list[tuple[Deliver, Choose, Names]] = []


def register(deliver: Deliver, choose: Choose, names: Names) -> None:
    """`choose`: which channels `notify_project` tells. Raises ValueError if others are registered."""
    if _deliver and _deliver[0] != (deliver, choose, names):
        raise ValueError("Two apps want to deliver notifications.")
    _deliver[:] = [(deliver, choose, names)]


def channels(project: int) -> list[tuple[int, str]]:
    """Return (id, name) of each channel that a project can choose, by name."""
    return [channel for _, _, names in _deliver for channel in names(project)]


def notify(project: int, kind: str, key: str, message: Message, channels: Collection[int], *, now: datetime) -> None:
    """Queue a message for channels of the project, in the transaction of the caller.

    A channel gets each `key` once, however often this is called. Channels of other projects, deleted and disabled ones
    are passed over; a disabled one keeps a record that it was.
    """
    for deliver, _, _ in _deliver:
        deliver(project, kind, key, message, channels, now)


def notify_project(project: int, kind: str, key: str, message: Message, *, now: datetime, after: str = "") -> None:
    """`notify` for senders that know no channels: tells those that opted in to messages about judges.

    `after`: key of an earlier message. Then it tells the channels that got that one, whatever they opted in to since.
    """
    for deliver, choose, _ in _deliver:
        deliver(project, kind, key, message, choose(project, after), now)
