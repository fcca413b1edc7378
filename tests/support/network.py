"""A bad network between authd and a server: it doubles, delays, cuts or garbles what the server says."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from tests.support.processes import Service

Mangle = Callable[[bytes], tuple[bytes, bytes]]
"""What becomes of a piece of an answer: what is passed on at once, and what with the next question."""


def as_it_is(answer: bytes) -> tuple[bytes, bytes]:
    """Pass an answer on."""
    return answer, b""


def doubled(answer: bytes) -> tuple[bytes, bytes]:
    """Pass an answer on twice."""
    return answer * 2, b""


def doubled_late(answer: bytes) -> tuple[bytes, bytes]:
    """Pass an answer on, and a second time when the next question was sent, so that it comes in place of that one's answer."""
    return answer, answer


class Repeating:
    """Passes on the last answer once more in front of every second one.

    :param part: what the answers have in it that are meant.
    """

    def __init__(self, part: bytes) -> None:
        self._part = part
        self._last = b""

    def __call__(self, answer: bytes) -> tuple[bytes, bytes]:
        if self._part not in answer:
            return answer, b""
        # A new connection, which the repeated answer leads to, begins with nothing of another's.
        before, self._last = self._last, b"" if self._last else answer
        return before + answer, b""


class Network(Service):
    """Passes connections to 127.0.0.1:`port` on to a server, and changes the answers to some questions.

    :param server: the port of 127.0.0.1 that the server listens on.
    :param questions: what a question has in it whose answer is changed.
    :ivar mangle: changes a piece of an answer.
    :ivar changed: how many pieces were changed.
    :ivar greet: changes what a server says first.
    :ivar asked: all that was said to the server.
    """

    def __init__(self, server: int, *questions: bytes) -> None:
        self._server = server
        self._questions: Sequence[bytes] = questions
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.mangle: Mangle = as_it_is
        self.changed = 0
        self.greet: Callable[[bytes], bytes] = lambda greeting: greeting
        self.asked = bytearray()
        self._ends, self._end = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def start(self) -> None:
        """Begin to pass connections on."""
        self._thread.start()

    def stop(self) -> None:
        """Cut all connections."""
        self._end.close()
        if self._thread.is_alive():
            self._thread.join()
        self._listener.close()
        self._ends.close()

    def _serve(self) -> None:
        # By both descriptors of a connection.
        pipes: dict[socket.socket, _Pipe] = {}
        while True:
            readable, _, _ = select.select([self._listener, self._ends, *pipes], [], [])
            if self._ends in readable:
                break
            for ready in readable:
                if ready is self._listener:
                    pipe = _Pipe(self, self._listener.accept()[0], self._server)
                    pipes[pipe.client] = pipes[pipe.server] = pipe
                elif ready in pipes:
                    pipe = pipes[ready]
                    if not pipe.carry(ready):
                        pipe.close()
                        del pipes[pipe.client], pipes[pipe.server]
        for pipe in pipes.values():
            pipe.close()

    def is_changed(self, question: bytes) -> bool:
        """Tell whether the answer to a question is to be changed."""
        return any(some in question for some in self._questions)


class _Pipe:
    """One connection."""

    def __init__(self, network: Network, client: socket.socket, server: int) -> None:
        self._network = network
        self.client = client
        self.server = socket.create_connection(("127.0.0.1", server))
        for end in (self.client, self.server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._changes = False
        self._silent = True
        self._late = b""

    def carry(self, sender: socket.socket) -> bool:
        """Pass on what `sender` said; tell whether the connection lives."""
        try:
            said = sender.recv(65536)
            if not said:
                return False
            if sender is self.server and self._silent:
                self._silent = False
                said = self._network.greet(said)
            if sender is self.client:
                self._network.asked += said
                self._changes = self._network.is_changed(said)
                self.client.sendall(self._late)
                self._late = b""
                self.server.sendall(said)
            elif not self._changes:
                self.client.sendall(said)
            else:
                self._network.changed += 1
                now, self._late = self._network.mangle(said)
                self.client.sendall(now)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Close both ends."""
        for end in (self.client, self.server):
            with suppress(OSError):
                end.close()
