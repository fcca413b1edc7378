"""A worker: one process, one event loop.

The whole way of a request is here: `Worker.run` waits, `_accept` and `_continue` take what clients sent, `_ask` puts the requests
that are complete to the responder, all of a turn together, and `_deliver` sends what is answered before anything is waited for.

A client whose request is complete when it is accepted, as nearly all are, is answered in that turn.  One that has sent half of it
is put aside and costs an entry in a table until the rest comes or its time is up; it never holds the worker.  A connection that
carries many requests is answered one of them a turn, so that nobody waits behind a whole queue of another's.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import time
import traceback
from collections.abc import Sequence
from types import FrameType

from authd.modules.inquiry import Inquiry
from authd.outcome import Answer
from authd.protocol.request import Dropped, Login, Request
from authd.server.clients import Clients
from authd.server.connection import Connection, accept, read
from authd.server.listener import Listener
from authd.server.listing import AccountListing
from authd.server.log import LOGGER, flush_lines
from authd.server.responder import Responder
from authd.server.roster import HESITATION_SECONDS, Roster
from authd.server.speaker import Speaker
from authd.together import Failure, Together

STOP_SECONDS = 2.0
"""Time that clients with half a request still have when the daemon stops."""

ACCEPT_PAUSE_SECONDS = 0.05

TURN_SECONDS = 0.01
"""Work that a worker takes on at once, as far as it can be told beforehand; what is left waits for whoever is free first."""

MOST_LOOKUPS = 64
MOST_LOGINS = 10
"""Requests of a turn, where they are as cheap as can be: more at once would be cheaper still, but keep the last waiting."""

LIGHT_TURN_SECONDS = 0.001
"""Work of a turn that another worker need not share in."""

RESERVED_DESCRIPTORS = 32
"""Descriptors that clients must leave to the worker itself: its pipes, its log, its database."""

WORKER_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
"""Signals that a worker handles; the master forks it with these blocked."""


class Worker:
    """Serves clients of `listeners` until it is told to retire or to stop.

    :param listeners: the listening sockets, shared with the other workers.
    :param responder: answers requests; connects to back ends in this process.
    :param roster: who of the workers is at work.
    :param number: this one's in the roster.
    :param lifeline: read end of a pipe whose write end the master holds; its end means that the master is gone.
    """

    def __init__(
        self, listeners: Sequence[Listener], responder: Responder, roster: Roster, number: int, lifeline: int
    ) -> None:
        self._speakers = {listener.socket.fileno(): Speaker(listener.settings, responder) for listener in listeners}
        self._lasting = {listener for listener, speaker in self._speakers.items() if speaker.lasting}
        self._passing = self._speakers.keys() - self._lasting
        self._responder = responder
        self._roster = roster
        self._number = number
        self._together = Together(lambda: roster.held_up(number), self._deliver)
        self._lifeline = lifeline
        self._accepting = True
        self._hesitating_until: float | None = None
        self._hesitated = False
        self._wanted: set[int] = set()
        self._bell = -1
        self._most_clients = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - RESERVED_DESCRIPTORS
        self._poll = select.epoll()
        self._clients = Clients(self._poll)
        self._answered: list[tuple[Connection, bool]] = []
        self._asking: list[tuple[Connection, Request, Inquiry[Answer]]] = []
        self._busy: list[Connection] = []

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
        self._watch_listeners()
        for listener in self._lasting:
            self._watch(listener)
        self._poll.register(wake_in, select.EPOLLIN)
        self._poll.register(self._lifeline, select.EPOLLIN)
        self._bell = self._roster.bell_of(self._number)
        self._poll.register(self._bell, select.EPOLLIN)
        os.write(ready, b".")
        while self._accepting or self._busy or len(self._clients):
            self._roster.end(self._number)
            if self._hesitating_until is not None and time.monotonic() >= self._hesitating_until:
                self._watch_listeners()
            for descriptor, event in self._poll.poll(self._time_left()):
                if descriptor in self._speakers:
                    self._welcome(descriptor)
                elif descriptor in (wake_in, self._lifeline, self._bell):
                    self._note(descriptor)
                else:
                    self._continue(descriptor, event)
            self._hesitated = False
            busy, self._busy = self._busy, []
            for connection in busy:
                if connection.busy:
                    self._hear(connection)
            self._ask()
            if self._wanted:
                self._obey()
            for connection in self._clients.expired():
                self._drop(connection)
        self._responder.close()

    def _time_left(self) -> float:
        """Return the seconds until there is something to do without anybody saying so; -1 for never."""
        if self._busy:
            return 0.0
        left = self._clients.time_left()
        if self._hesitating_until is None:
            return left
        rest = max(0.0, self._hesitating_until - time.monotonic())
        return rest if left < 0 else min(rest, left)

    def _watch_listeners(self) -> None:
        """Have clients who come wake this worker."""
        self._hesitated = self._hesitating_until is not None
        self._hesitating_until = None
        for listener in self._passing:
            self._watch(listener)

    def _watch(self, listener: int) -> None:
        # Of the workers that wait on the one socket, the kernel wakes one, not all.
        self._poll.register(listener, select.EPOLLIN | select.EPOLLEXCLUSIVE)

    def _leave_listeners(self) -> None:
        """Let clients who come wake others."""
        if self._hesitating_until is None:
            for listener in self._passing:
                self._poll.unregister(listener)

    def _come(self) -> None:
        """Another was woken for clients who are this one's."""
        os.eventfd_read(self._bell)
        if not self._accepting:
            return
        if self._hesitating_until is not None:
            # It looks in the next turn.
            self._watch_listeners()
            return
        for listener in self._passing:
            self._welcome(listener)

    def _note(self, descriptor: int) -> None:
        """Take in that there was a signal, that another calls, or that the master is gone."""
        if descriptor == self._bell:
            self._come()
        elif descriptor != self._lifeline:
            os.read(descriptor, 4096)
        else:
            self._poll.unregister(descriptor)
            self._wanted.add(signal.SIGTERM)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._wanted.add(number)

    def _obey(self) -> None:
        wanted, self._wanted = self._wanted, set()
        stopping = signal.SIGTERM in wanted
        if self._accepting:
            self._leave_listeners()
            for listener in self._lasting:
                self._poll.unregister(listener)
            self._hesitating_until = None
            # Those who wait by now may have woken this worker and nobody else.
            for listener in self._speakers if stopping else self._passing:
                accepted = 0
                while (stopping or accepted < MOST_LOOKUPS) and self._accept(listener):
                    accepted += 1
                    self._ask()
            self._accepting = False
        for connection in self._clients.resting():
            if connection.busy:
                continue
            # What has come in the meantime is answered, and a login that was begun can be ended; what comes later finds
            # the connection closed, and its client asks another worker.
            connection.receive()
            self._hear(connection)
        self._ask()
        if stopping:
            self._clients.hurry(STOP_SECONDS)

    def _welcome(self, listener: int) -> None:
        """Accept as many of those who wait as can be answered together, unless others are there to do it."""
        if listener in self._lasting:
            self._welcome_to_stay(listener)
            return
        if self._hesitating_until is not None:
            return
        relief = self._roster.relief_of(self._number, self._hesitated)
        if relief is not None:
            self._leave_listeners()
            # The later ones are needed less often, and need not look as often.
            self._hesitating_until = time.monotonic() + HESITATION_SECONDS * self._number
            self._roster.call(relief)
            return
        self._roster.begin(self._number)
        seconds = asked_seconds = 0.0
        while seconds < TURN_SECONDS:
            asking = len(self._asking)
            if not self._accept(listener):
                break
            if len(self._asking) > asking:
                cost = self._cost(self._asking[-1][1])
                asked_seconds += cost
            else:
                # A client without a whole request costs what the cheapest does, so that a crowd of them holds nobody up.
                cost = TURN_SECONDS / MOST_LOOKUPS
            seconds += cost
        if asked_seconds > LIGHT_TURN_SECONDS or seconds >= TURN_SECONDS:
            self._roster.laden(self._number)

    def _welcome_to_stay(self, listener: int) -> None:
        """Accept one client of a protocol in which many requests come by one connection."""
        self._roster.begin(self._number)
        self._accept(listener)
        # The next is for the next worker, so that all have as many: the kernel wakes in the order of registration.
        self._poll.unregister(listener)
        self._watch(listener)

    def _cost(self, request: Request) -> float:
        """Return the seconds that answering a request may take, lookups aside."""
        if isinstance(request, Login):
            return max(self._together.check_seconds, TURN_SECONDS / MOST_LOGINS)
        return TURN_SECONDS / MOST_LOOKUPS

    def _accept(self, listener: int) -> bool:
        """Accept one client and hear its request; tell whether there was one."""
        try:
            descriptor = accept(listener)
        except OSError as error:
            LOGGER.error("can't accept a client: %s", error.strerror)
            self._make_room()
            # What is missing may be the whole system's; the client stays in the queue, and the worker must not spin.
            time.sleep(ACCEPT_PAUSE_SECONDS)
            return False
        if descriptor is None:
            return False
        speaker = self._speakers[listener]
        shortcuts = speaker.shortcuts
        connection = Connection(descriptor, speaker.begin())
        said = read(descriptor)
        if said and shortcuts is not None:
            try:
                reply = shortcuts.reply_to(said)
            except Exception as error:
                self._fail(connection, error)
                return True
            if reply is not None:
                connection.conversation.say(reply)
                self._answered.append((connection, True))
                return True
            connection.shortcuts = shortcuts, said
        if said is not None:
            connection.hear(said)
        self._hear(connection)
        return True

    def _make_room(self) -> None:
        """So many clients wait that descriptors run out: let the one go that can be missed best."""
        oldest = self._clients.oldest()
        if oldest is not None:
            LOGGER.warning(
                "out of descriptors with %d clients waiting; raise the limit of open files", len(self._clients)
            )
            self._drop(oldest)

    def _continue(self, descriptor: int, events: int) -> None:
        """Take what a client that waits has sent, or send what it has not taken yet."""
        connection = self._clients.get(descriptor)
        if connection is None or connection.busy:
            return
        self._roster.begin(self._number)
        if not self._clients.is_writing(connection):
            connection.receive()
        elif events & ~select.EPOLLOUT:
            self._drop(connection)
            return
        elif not connection.send():
            return
        self._hear(connection)

    def _hear(self, connection: Connection) -> None:
        """Answer the client's request, if one is complete; if the modules have to be asked, with the others of the turn."""
        connection.busy = False
        try:
            request = connection.conversation.next_request()
            answer = None if request is None else self._responder.respond(request, connection.conversation)
        except Exception as error:
            self._fail(connection, error)
            return
        if request is None or answer is None:
            self._send(connection, answered=False)
        elif isinstance(answer, Answer | AccountListing):
            self._answer(connection, request, answer)
        else:
            self._asking.append((connection, request, answer))

    def _ask(self) -> None:
        """Answer the requests of this turn, those that the modules have to be asked about all together."""
        asking, self._asking = self._asking, []
        for place, answer in self._together.settle([inquiry for _, _, inquiry in asking]):
            connection, request, _ = asking[place]
            if connection.closed:
                continue
            if isinstance(answer, Failure):
                self._fail(connection, answer.error)
            else:
                self._answer(connection, request, answer)
        self._deliver()

    def _answer(self, connection: Connection, request: Request, answer: Answer | AccountListing) -> None:
        """Put an answer into its client's words."""
        if isinstance(answer, AccountListing):
            self._deliver()
            self._roster.held_up(self._number)
        try:
            connection.conversation.answer(request, answer)
            if connection.shortcuts is not None:
                shortcuts, said = connection.shortcuts
                shortcuts.learn(said, request, answer, connection.conversation)
        except Exception as error:
            self._fail(connection, error)
        else:
            self._answered.append((connection, not isinstance(request, Dropped)))

    def _deliver(self) -> None:
        """Send what has been answered; the log has it first."""
        answered, self._answered = self._answered, []
        flush_lines()
        for connection, heard in answered:
            # Room may have been made of it meanwhile.
            if not connection.closed:
                self._send(connection, heard)

    def _fail(self, connection: Connection, error: Exception) -> None:
        """Fail closed: a defect is never a success and never a reject, and costs nobody else anything."""
        # What the error says is left out: it may quote what it was about.
        where = "".join(traceback.format_tb(error.__traceback__))
        LOGGER.error("internal error, %s; the client gets no reply\n%s", type(error).__name__, where)
        self._drop(connection)

    def _send(self, connection: Connection, answered: bool) -> None:
        """Send what there is to say, and see what the client must do next."""
        conversation = connection.conversation
        if not connection.send():
            self._clients.wait_to_write(connection)
        elif conversation.closing:
            self._drop(connection, answered)
        elif answered:
            connection.busy = True
            connection.leaving = not self._accepting
            self._clients.rest(connection)
            self._busy.append(connection)
        elif connection.leaving or (not self._accepting and conversation.at_rest and not conversation.under_way):
            self._drop(connection)
        else:
            if len(self._clients) >= self._most_clients and self._clients.get(connection.descriptor) is None:
                self._make_room()
            self._clients.wait_to_read(connection, may_rest=self._accepting)

    def _drop(self, connection: Connection, answered: bool = False) -> None:
        connection.busy = False
        self._clients.forget(connection)
        if answered:
            connection.close()
        else:
            connection.close_unheard()
