"""What all protocols have in common: one client's conversation, sans-IO.

The server puts in what the client sends, takes requests out, puts the answers in, and takes out what is to be sent::

    conversation.receive(data)
    while (request := conversation.next_request()) is not None:
        conversation.answer(request, ...)
    send(conversation.take_output())
    if conversation.closing: close()

Requests are answered one at a time, in the order that they come out.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from authd.account import Entry
from authd.outcome import Answer
from authd.protocol.request import CLOSED_EARLY, NOTHING_SAID, Dropped, Request

_COMMAND = re.compile(rb"[A-Z]{2,}(?=[\0-\x20]|$)|(?i:pre|auth|passwd|enumerate|flush)(?=[\0-\x20]|$)")
"""The form of a command, hardly of a password: capital letters alone, or a known command in small ones."""

COMMAND_LIMIT = 16
"""Letters of an unknown command that are named."""


def unknown_command(line: bytes) -> str:
    """Return for the log what is wrong with `line`, which begins with no command that there is.

    The name is left out where the line could be a password that its client sent in the wrong place.
    """
    match = _COMMAND.match(line)
    if match is None:
        return f"unknown command of {len(line)} bytes"
    name = match[0].decode()
    return f"unknown command {name}" if len(name) <= COMMAND_LIMIT else f"unknown command {name[:COMMAND_LIMIT]}..."


@dataclass(frozen=True, slots=True)
class Terms:
    """What a conversation must know of the daemon and of the listener that its client came by.

    :param default_options: ``DEFAULTOPTIONS`` of authdaemonrc.
    :param passwords: whether stored passwords may be told.
    :param pid: process id of the worker.
    :param cram: tells whether some module has cleartext passwords, without which CRAM can't be offered.
    :param random: returns as many random bytes as it is asked for.
    """

    default_options: bytes
    passwords: bool
    pid: int
    cram: Callable[[], bool]
    random: Callable[[int], bytes]


class Listing(Protocol):
    """All accounts, as they come from the modules."""

    @property
    def complete(self) -> bool:
        """Whether `blocks` came to its end and nothing is missing."""

    def blocks(self) -> Iterator[tuple[str, Iterator[Entry]]]:
        """Yield each module's name and accounts."""


class Conversation(ABC):
    """One client's conversation.

    :param terms: see `Terms`.
    :ivar remote_ip: address of the mail client that the last request is about, as far as it was told; for the log.
    :ivar secured: whether that mail client's connection is encrypted, as far as it was told.
    :ivar closing: whether there is nothing more to say: the connection closes once the output is sent.
    """

    __slots__ = ("_output", "_terms", "closing", "remote_ip", "secured")

    login_tempfail: ClassVar[Literal["close"] | None] = "close"
    """What a module's temporary failure means at a login where ``AUTHD_LOGIN_TEMPFAIL`` does not say; ``None`` for what
    Courier's module of that name does."""

    lasting: ClassVar[bool] = False
    """Whether a client stays connected, and asks again and again."""

    shortcuts: ClassVar[bool] = False
    """Whether a connection carries one request, and its reply depends on nothing but that request's bytes and the account."""

    enforces_options: ClassVar[bool] = True
    """Whether ``disableimap=1`` and its like are for us to enforce, since the client never sees an account's options."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._output = b""
        self.remote_ip = b""
        self.secured = False
        self.closing = False

    @abstractmethod
    def receive(self, data: bytes) -> None:
        """Take in what the client sent."""

    @abstractmethod
    def end(self) -> None:
        """Take in that the client will send no more."""

    @abstractmethod
    def next_request(self) -> Request | None:
        """Return the next request that is complete, or ``None`` if more must come.

        Nothing a client sends makes it raise.
        """

    @abstractmethod
    def answer(self, request: Request, answer: Answer | Listing) -> None:
        """Take in the answer to `request`, which `next_request` returned last.

        A `Listing` answers ``Enumerate``, an `Answer` everything else.
        """

    @property
    def at_rest(self) -> bool:
        """Whether nothing is half said, so that the client may take its time."""
        return False

    @property
    def under_way(self) -> bool:
        """Whether something was begun that the client has to end, although nothing is half said."""
        return False

    @property
    def output(self) -> bytes:
        """What is to be sent."""
        return self._output

    def say(self, reply: bytes) -> None:
        """Send `reply`, which is known without a request, and close."""
        self._output += reply
        self.closing = True

    def take_output(self) -> bytes:
        """Return what is to be sent, once."""
        output, self._output = self._output, b""
        return output


class BufferedConversation(Conversation):
    """A conversation that collects what the client says until it is whole."""

    __slots__ = ("_buffer", "_ended")

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self._buffer = bytearray()
        self._ended = False

    def receive(self, data: bytes) -> None:
        self._buffer += data

    def end(self) -> None:
        self._ended = True

    def _ended_early(self) -> Dropped:
        """Return why nothing is answered to a client that closed before its request was whole."""
        return CLOSED_EARLY if self._buffer else NOTHING_SAID
