"""The connections of the web process, and which of them to close when there are too many."""

import resource
from collections import OrderedDict
from typing import Protocol

MOST_FILES = 65_536
MOST_CONNECTIONS = 20_000
# Files that the process needs for anything else: database connections, calls, logs, files being sent.
OTHER_FILES = 256


class Connection(Protocol):
    """`network` groups the addresses that one client may have; None for a trusted proxy, which has many clients."""

    network: str | None

    def evict(self) -> None: ...

    def check(self, now: float) -> None: ...


class ConnectionTable:
    """All open connections, by whom they wait for.

    If there are more than `most`, or more than `most_receiving` of one network have not sent a complete request, the
    one that has waited longest for its client is closed. So a newcomer gets in, and nobody can hold all connections.
    """

    def __init__(self, most: int, most_receiving: int) -> None:
        self._most = most
        self._most_receiving = most_receiving
        self._all: dict[Connection, None] = {}
        self._idle: OrderedDict[Connection, None] = OrderedDict()
        self._receiving: dict[str | None, OrderedDict[Connection, None]] = {}
        self._unread: OrderedDict[Connection, None] = OrderedDict()

    def check(self, now: float) -> None:
        """Let every connection check whether its client is too slow."""
        for connection in list(self._all):
            connection.check(now)

    def __len__(self) -> int:
        return len(self._all)

    def open(self, connection: Connection) -> None:
        """Add a new connection. May evict another, or this one if all others are at work."""
        if len(self._all) >= self._most:
            oldest = self._longest_waiting()
            if oldest is None:
                connection.evict()
                return
            self._evict(oldest)
        self._all[connection] = None
        self.receive(connection)

    def receive(self, connection: Connection) -> None:
        """Its request is not complete."""
        self._idle.pop(connection, None)
        receiving = self._receiving.setdefault(connection.network, OrderedDict())
        receiving[connection] = None
        if len(receiving) > self._most_receiving and connection.network is not None:
            self._evict(next(iter(receiving)))

    def work(self, connection: Connection) -> None:
        """Its request is complete, and is being answered."""
        self._forget_receiving(connection)

    def rest(self, connection: Connection) -> None:
        """Its request has been answered."""
        self._forget_receiving(connection)
        if connection in self._all:
            self._idle[connection] = None

    def unread(self, connection: Connection) -> None:
        """Its client does not read what was sent."""
        self._unread.setdefault(connection, None)

    def read(self, connection: Connection) -> None:
        self._unread.pop(connection, None)

    def remove(self, connection: Connection) -> None:
        self._all.pop(connection, None)
        self._idle.pop(connection, None)
        self._unread.pop(connection, None)
        self._forget_receiving(connection)

    def _forget_receiving(self, connection: Connection) -> None:
        receiving = self._receiving.get(connection.network)
        if receiving is not None:
            receiving.pop(connection, None)
            if not receiving:
                del self._receiving[connection.network]

    def _longest_waiting(self) -> Connection | None:
        for waiting in (self._idle, max(self._receiving.values(), key=len, default=None), self._unread):
            if waiting:
                return next(iter(waiting))
        return None

    def _evict(self, connection: Connection) -> None:
        self.remove(connection)
        connection.evict()


def raise_file_limit() -> int:
    """Raise the number of files that this process may open, as far as it may. Returns the new limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(MOST_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most


def most_connections(files: int) -> int:
    """The number of connections that a process with so many files can keep open.

    A connection may need a second file, the one that it sends.
    """
    return min(MOST_CONNECTIONS, max(64, (files - OTHER_FILES) // 2))
