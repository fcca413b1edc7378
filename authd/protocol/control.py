"""What an administrator says to the daemon.

::

    request = "FLUSH" [SP user] LF        ; forget what the caches have of the user, or of all
    reply   = "OK" LF                     ; all workers have forgotten

One request a connection; one that is none of these is not answered.  Who may say it is decided by the socket's mode: its owner.
"""

from __future__ import annotations

from authd.outcome import Answer
from authd.protocol.conversation import BufferedConversation, Listing, unknown_command
from authd.protocol.reply import OK
from authd.protocol.request import Dropped, Flush, Request

LINE_LIMIT = 8190
"""Bytes that a line may have before its newline; as many as a user name can have in Courier's protocol, and more."""


def encode_flush(user: bytes | None) -> bytes:
    """Return the bytes of a request to forget `user`, or all for ``None``.

    :raises ValueError: if it has a newline, which would end it.
    """
    if user is None:
        return b"FLUSH\n"
    if b"\n" in user:
        raise ValueError("a newline can't be sent in a user name")
    return b"FLUSH %b\n" % user


class ControlConversation(BufferedConversation):
    """One request of an administrator."""

    __slots__ = ()

    enforces_options = False

    def next_request(self) -> Request | None:
        if self.closing:
            return None
        line, newline, surplus = bytes(self._buffer).partition(b"\n")
        if len(line) > LINE_LIMIT:
            return Dropped(f"line of more than {LINE_LIMIT} bytes")
        if not newline:
            return self._ended_early() if self._ended else None
        command, space, user = line.partition(b" ")
        if command != b"FLUSH":
            return Dropped(unknown_command(line))
        if surplus or (space and not user):
            return Dropped("FLUSH of what is no user name")
        return Flush(user if space else None)

    def answer(self, request: Request, answer: Answer | Listing) -> None:  # noqa: ARG002 - a flush always succeeds
        self.closing = True
        if isinstance(request, Flush):
            self._output = OK
