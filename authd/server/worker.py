"""A worker: one process, one event loop, one request verified at a time.

A client whose request is complete when it is accepted, as nearly all are, is answered on the spot.  One that has sent half of
it is put aside and costs an entry in a table until the rest comes or its time is up; it never holds the worker.  A connection
that carries many requests is answered one of them a turn, so that nobody waits behind a whole queue of another's.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import time
import traceback
from collections import deque
from collections.abc import Sequence
from types import FrameType

from authd.server.clients import Clients
from authd.server.connection import Connection
from authd.server.listener import Listener
from authd.server.log import LOGGER
from authd.server.responder import Responder
from authd.server.speaker import Speaker

STOP_SECONDS = 2.0
"""Time that clients with half a request still have when the daemon stops."""

ACCEPT_PAUSE_SECONDS = 0.05

RESERVED_DESCRIPTORS = 32
"""Descriptors that clients must leave to the worker itself: its pipes, its log, its database."""

WORKER_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
"""Signals that a worker handles; the master forks it with these blocked."""


class Worker:
    """Serves clients of `listeners` until it is told to retire or to stop.

    :param listeners: the listening sockets, shared with the other workers.
    :param responder: answers requests; connects to back ends in this process.
    :param lifeline: read end of a pipe whose write end the master holds; its end means that the master is gone.
    """

    def __init__(self, listeners: Sequence[Listener], responder: Responder, lifeline: int) -> None:
        self._speakers = {
            listener.socket.fileno(): (listener.socket, Speaker(listener.settings, responder)) for listener in listeners
        }
        self._responder = responder
        self._lifeline = lifeline
        self._accepting = True
        self._wanted: set[int] = set()
        self._most_clients = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - RESERVED_DESCRIPTORS
        self._poll = select.epoll()
        self._clients = Clients(self._poll)
        self._busy: deque[Connection] = deque()

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
        for listener in self._speakers:
            # Of the workers that wait on the one socket, the kernel wakes one, not all.
            self._poll.register(listener, select.EPOLLIN | select.EPOLLEXCLUSIVE)
        self._poll.register(wake_in, select.EPOLLIN)
        self._poll.register(self._lifeline, select.EPOLLIN)
        os.write(ready, b".")
        while self._accepting or self._busy or len(self._clients):
            for descriptor, events in self._poll.poll(0 if self._busy else self._clients.time_left()):
                if descriptor in self._speakers:
                    self._accept(descriptor)
                elif descriptor == wake_in:
                    os.read(wake_in, 4096)
                elif descriptor == self._lifeline:
                    self._poll.unregister(self._lifeline)
                    self._wanted.add(signal.SIGTERM)
                else:
                    self._continue(descriptor, events)
            for _ in range(len(self._busy)):
                connection = self._busy.popleft()
                if connection.busy:
                    self._serve(connection)
            self._obey()
            for connection in self._clients.expired():
                self._drop(connection)
        self._responder.close()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._wanted.add(number)

    def _obey(self) -> None:
        wanted, self._wanted = self._wanted, set()
        if not wanted:
            return
        stopping = signal.SIGTERM in wanted
        if self._accepting:
            for listener in self._speakers:
                while stopping and self._accept(listener):
                    pass
                self._poll.unregister(listener)
            self._accepting = False
        for connection in self._clients.resting():
            if connection.busy:
                continue
            # What has come in the meantime is answered, and a login that was begun can be ended; what comes later finds
            # the connection closed, and its client asks another worker.
            connection.receive()
            self._serve(connection)
        if stopping:
            self._clients.hurry(STOP_SECONDS)

    def _accept(self, listener: int) -> bool:
        """Accept one client and serve it if its request is there; tell whether there was one."""
        socket, speaker = self._speakers[listener]
        try:
            peer, _ = socket.accept()
        except BlockingIOError:
            return False
        except OSError as error:
            LOGGER.error("can't accept a client: %s", error.strerror)
            self._make_room()
            # What is missing may be the whole system's; the client stays in the queue, and the worker must not spin.
            time.sleep(ACCEPT_PAUSE_SECONDS)
            return False
        peer.setblocking(False)
        connection = Connection(peer, speaker.begin())
        connection.receive()
        self._serve(connection)
        return True

    def _make_room(self) -> None:
        """So many clients wait that descriptors run out: let the one go that can be missed best."""
        oldest = self._clients.oldest()
        if oldest is not None:
            LOGGER.warning(
                "out of descriptors with %d clients waiting; raise the limit of open files", len(self._clients)
            )
            self._drop(oldest)

    def _serve(self, connection: Connection) -> None:
        """Answer one request if one is complete; then send, and see what the client must do next."""
        connection.busy = False
        conversation = connection.conversation
        try:
            request = conversation.next_request()
            if request is not None:
                conversation.answer(request, self._responder.respond(request, conversation))
        except Exception as error:
            # Fail closed: a defect is never a success and never a reject, and costs nobody else anything. What the error
            # says is left out: it may quote what it was about.
            where = "".join(traceback.format_tb(error.__traceback__))
            LOGGER.error("internal error, %s; the client gets no reply\n%s", type(error).__name__, where)
            self._drop(connection)
            return
        if not connection.send():
            self._clients.wait_to_write(connection)
        elif conversation.closing:
            self._drop(connection)
        elif request is not None:
            connection.busy = True
            connection.leaving = not self._accepting
            self._clients.rest(connection)
            self._busy.append(connection)
        elif connection.leaving or (not self._accepting and conversation.at_rest and not conversation.under_way):
            self._drop(connection)
        else:
            if len(self._clients) >= self._most_clients and self._clients.get(connection.peer.fileno()) is None:
                self._make_room()
            self._clients.wait_to_read(connection, may_rest=self._accepting)

    def _continue(self, descriptor: int, events: int) -> None:
        connection = self._clients.get(descriptor)
        if connection is None or connection.busy:
            return
        if not self._clients.is_writing(connection):
            connection.receive()
        elif events & ~select.EPOLLOUT:
            self._drop(connection)
            return
        elif not connection.send():
            return
        self._serve(connection)

    def _drop(self, connection: Connection) -> None:
        connection.busy = False
        self._clients.forget(connection)
        connection.close()
