"""Clients that wait in a worker: to send the rest of a request, to take a reply, or to ask the next thing when they like."""

from __future__ import annotations

import math
import select
import time
from collections.abc import Iterator

from authd.server.connection import Connection

READ_SECONDS = 10.0
"""Time that a client has for its whole request; Courier gives as much for each read."""

WRITE_SECONDS = 30.0
"""Time that a client has to take its reply; Courier's."""


class Clients:
    """The clients that wait in one worker's poll.

    Each is in one of three tables.  All of a table have the same time, so that the first is always the next to lose patience
    with; those at rest have all the time that they like.

    :param poll: where their descriptors are registered.
    """

    def __init__(self, poll: select.epoll) -> None:
        self._poll = poll
        self._reading: dict[int, Connection] = {}
        self._writing: dict[int, Connection] = {}
        self._resting: dict[int, Connection] = {}

    def __len__(self) -> int:
        return len(self._reading) + len(self._writing) + len(self._resting)

    def get(self, descriptor: int) -> Connection | None:
        """Return the client that waits by a descriptor."""
        return self._reading.get(descriptor) or self._resting.get(descriptor) or self._writing.get(descriptor)

    def is_writing(self, connection: Connection) -> bool:
        """Tell whether a client has a reply to take first."""
        return connection.descriptor in self._writing

    def wait_to_write(self, connection: Connection) -> None:
        """Wait until the client takes more of its reply."""
        self._move(connection, self._writing, select.EPOLLOUT, WRITE_SECONDS)

    def wait_to_read(self, connection: Connection, may_rest: bool) -> None:
        """Wait for more of a request, or, if the client may rest, for the next one where nothing is half said."""
        if may_rest and connection.conversation.at_rest:
            self._move(connection, self._resting, select.EPOLLIN, math.inf)
        else:
            self._move(connection, self._reading, select.EPOLLIN, READ_SECONDS)

    def rest(self, connection: Connection) -> None:
        """Owe a client's patience nothing any more: it has said something whole."""
        if connection.descriptor in self._reading:
            self._move(connection, self._resting, select.EPOLLIN, math.inf)

    def forget(self, connection: Connection) -> None:
        """Take a client out, if it is in."""
        if not connection.waits:
            return
        connection.waits = False
        self._poll.unregister(connection.descriptor)
        for table in self._tables():
            table.pop(connection.descriptor, None)

    def oldest(self) -> Connection | None:
        """Return the client that can be missed best: who has kept the rest of a request to itself the longest, else who rests."""
        return next(iter((*self._reading.values(), *self._resting.values())), None)

    def resting(self) -> list[Connection]:
        """Return those with whom nothing is under way."""
        return list(self._resting.values())

    def hurry(self, seconds: float) -> None:
        """Leave those who owe the rest of a request no more than `seconds`."""
        limit = time.monotonic() + seconds
        for connection in self._reading.values():
            connection.deadline = min(connection.deadline, limit)

    def time_left(self) -> float:
        """Return the seconds until the next deadline; -1 if there is none."""
        if not self._reading and not self._writing:
            return -1
        nearest = min(next(iter(table.values())).deadline for table in (self._reading, self._writing) if table)
        return max(0.0, nearest - time.monotonic())

    def expired(self) -> Iterator[Connection]:
        """Yield those whose time is up; each must be forgotten before the next is asked for."""
        if not self._reading and not self._writing:
            return
        now = time.monotonic()
        for table in (self._reading, self._writing):
            while table and (first := next(iter(table.values()))).deadline <= now:
                yield first

    def _tables(self) -> tuple[dict[int, Connection], ...]:
        return self._reading, self._writing, self._resting

    def _move(self, connection: Connection, to: dict[int, Connection], events: int, seconds: float) -> None:
        descriptor = connection.descriptor
        if descriptor in to:
            return
        if not connection.waits:
            connection.waits = True
            self._poll.register(descriptor, events)
        for table in self._tables():
            if table.pop(descriptor, None) is not None and self._writing in (table, to):
                self._poll.modify(descriptor, events)
        connection.deadline = time.monotonic() + seconds
        to[descriptor] = connection
