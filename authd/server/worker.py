"""A worker: one process, one event loop, one request verified at a time.

A client whose request is complete when it is accepted, as nearly all are, is answered on the spot.  One that has sent half of
it is put aside and costs an entry in a table until the rest comes or its time is up; it never holds the worker.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import socket
import time
import traceback
from types import FrameType

from authd.protocol.request import Request
from authd.server.connection import Connection
from authd.server.log import LOGGER
from authd.server.responder import Responder

READ_SECONDS = 10.0
"""Time that a client has for its whole request; Courier gives as much for each read."""

WRITE_SECONDS = 30.0
"""Time that a client has to take its reply; Courier's."""

STOP_SECONDS = 2.0
"""Time that clients with half a request still have when the daemon stops."""

ACCEPT_PAUSE_SECONDS = 0.05

RESERVED_DESCRIPTORS = 32
"""Descriptors that clients must leave to the worker itself: its pipes, its log, its database."""

WORKER_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
"""Signals that a worker handles; the master forks it with these blocked."""


class Worker:
    """Serves clients of `listener` until it is told to retire or to stop.

    :param listener: the listening socket, shared with the other workers.
    :param responder: answers requests; connects to back ends in this process.
    :param lifeline: read end of a pipe whose write end the master holds; its end means that the master is gone.
    """

    def __init__(self, listener: socket.socket, responder: Responder, lifeline: int) -> None:
        self._listener = listener
        self._responder = responder
        self._lifeline = lifeline
        self._readers: dict[int, Connection] = {}
        self._writers: dict[int, Connection] = {}
        self._accepting = True
        self._wanted: set[int] = set()
        self._most_clients = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - RESERVED_DESCRIPTORS
        self._poll = select.epoll()

    def run(self, ready: int) -> None:
        """Serve; write one byte to the descriptor `ready` once clients can be served.

        SIGUSR1 retires: nobody new is accepted, those who are here are served.  SIGTERM stops: those who are waiting to be
        accepted are served too, and half requests have `STOP_SECONDS` left.
        """
        wake_in, wake_out = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_out, warn_on_full_buffer=False)
        for number in WORKER_SIGNALS:
            signal.signal(number, self._on_signal)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, WORKER_SIGNALS)
        # Of the workers that wait on the one socket, the kernel wakes one, not all.
        self._poll.register(self._listener, select.EPOLLIN | select.EPOLLEXCLUSIVE)
        self._poll.register(wake_in, select.EPOLLIN)
        self._poll.register(self._lifeline, select.EPOLLIN)
        os.write(ready, b".")
        while self._accepting or self._readers or self._writers:
            for descriptor, events in self._poll.poll(self._time_left()):
                if descriptor == self._listener.fileno():
                    self._accept()
                elif descriptor == wake_in:
                    os.read(wake_in, 4096)
                elif descriptor == self._lifeline:
                    self._poll.unregister(self._lifeline)
                    self._wanted.add(signal.SIGTERM)
                else:
                    self._continue(descriptor, events)
            self._obey()
            self._expire()
        self._responder.close()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._wanted.add(number)

    def _obey(self) -> None:
        wanted, self._wanted = self._wanted, set()
        if not wanted:
            return
        stopping = signal.SIGTERM in wanted
        if self._accepting:
            while stopping and self._accept():
                pass
            self._accepting = False
            self._poll.unregister(self._listener)
        if stopping:
            limit = time.monotonic() + STOP_SECONDS
            for connection in self._readers.values():
                connection.deadline = min(connection.deadline, limit)

    def _accept(self) -> bool:
        """Accept one client and serve it if its request is there; tell whether there was one."""
        try:
            peer, _ = self._listener.accept()
        except BlockingIOError:
            return False
        except OSError as error:
            LOGGER.error("can't accept a client: %s", error.strerror)
            self._make_room()
            # What is missing may be the whole system's; the client stays in the queue, and the worker must not spin.
            time.sleep(ACCEPT_PAUSE_SECONDS)
            return False
        peer.setblocking(False)
        connection = Connection(peer)
        self._serve(connection, known=False)
        return True

    def _make_room(self) -> None:
        """So many clients wait that descriptors run out: let the one go that has kept its request to itself the longest."""
        if self._readers:
            LOGGER.warning(
                "out of descriptors with %d clients waiting; raise the limit of open files", len(self._readers)
            )
            self._drop(next(iter(self._readers)), self._readers)

    def _serve(self, connection: Connection, known: bool) -> None:
        """Read on; answer if the request is complete, else wait for more of it."""
        request = connection.receive()
        descriptor = connection.peer.fileno()
        if request is None:
            if not known:
                if len(self._readers) + len(self._writers) >= self._most_clients:
                    self._make_room()
                connection.deadline = time.monotonic() + READ_SECONDS
                self._readers[descriptor] = connection
                self._poll.register(descriptor, select.EPOLLIN)
            return
        if known:
            del self._readers[descriptor]
            self._poll.unregister(descriptor)
        if connection.send(self._reply(request, connection.remote_ip)):
            connection.close()
            return
        connection.deadline = time.monotonic() + WRITE_SECONDS
        self._writers[descriptor] = connection
        self._poll.register(descriptor, select.EPOLLOUT)

    def _reply(self, request: Request, remote_ip: bytes) -> bytes:
        try:
            return self._responder.respond(request, remote_ip)
        except Exception as error:
            # Fail closed: a defect is never a success and never a reject, and costs nobody else anything. What the error
            # says is left out: it may quote what it was about.
            where = "".join(traceback.format_tb(error.__traceback__))
            LOGGER.error("internal error, %s; the client gets no reply\n%s", type(error).__name__, where)
            return b""

    def _continue(self, descriptor: int, events: int) -> None:
        reader = self._readers.get(descriptor)
        if reader is not None:
            self._serve(reader, known=True)
            return
        writer = self._writers.get(descriptor)
        if writer is not None and (events & ~select.EPOLLOUT or writer.send_more()):
            self._drop(descriptor, self._writers)

    def _time_left(self) -> float:
        """Seconds until the next deadline; -1 if there is none."""
        nearest = [next(iter(table.values())).deadline for table in (self._readers, self._writers) if table]
        return max(0.0, min(nearest) - time.monotonic()) if nearest else -1

    def _expire(self) -> None:
        """Drop those whose time is up.  All of a table have the same time, so the first is always the next."""
        now = time.monotonic()
        for table in (self._readers, self._writers):
            while table and next(iter(table.values())).deadline <= now:
                self._drop(next(iter(table)), table)

    def _drop(self, descriptor: int, table: dict[int, Connection]) -> None:
        connection = table.pop(descriptor)
        self._poll.unregister(descriptor)
        connection.close()
