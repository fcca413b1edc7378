"""Bytes from a client into one request.

::

    conversation = *metadata command
    metadata     = *(any except LF, "=" before the first SP) LF
    command      = "PRE" SP authlist SP service SP userid LF
                 | "AUTH" SP length LF length*octet
                 | "PASSWD" SP service TAB userid TAB oldpass TAB newpass *(TAB any) LF
                 | "ENUMERATE" [SP any] LF

Spaces repeat freely where one is written, and every line ends at a NUL if there is one: but a ``PRE`` or ``PASSWD`` with a NUL is
rejected, where its client meant another user or password.
"""

from __future__ import annotations

from collections.abc import Callable

from authd.numbers import atoi
from authd.protocol.auth import parse_auth_body
from authd.protocol.conversation import unknown_command
from authd.protocol.request import ChangePassword, Dropped, Enumerate, Lookup, Rejected, Request

LINE_LIMIT = 8190
"""Bytes that a line may have before its newline; a longer one ends the connection. What Courier's buffer of 8,192 leaves."""

BODY_LIMIT = 8192
"""An ``AUTH`` that announces this many bytes or more ends the connection: Courier's buffer."""

PASSWD_FIELDS = 4
"""Fields of a ``PASSWD``."""

REMOTE_IP_LIMIT = 39
"""Bytes of ``TCPREMOTEIP`` that are kept: the longest textual IPv6 address."""


class RequestParser:
    """Collects what one client sends until it is a request.

    ``receive`` is given bytes as they come, in pieces of any size, and returns the request once it is complete; what
    comes after that is ignored, since a connection carries one request.  Nothing a client sends makes it raise.

    :ivar remote_ip: value of the client's ``TCPREMOTEIP`` line, for the log.
    """

    __slots__ = ("_body_length", "_buffer", "_scanned", "_start", "remote_ip")

    def __init__(self) -> None:
        self.remote_ip = b""
        self._buffer = bytearray()
        self._start = 0
        self._scanned = 0
        self._body_length: int | None = None

    def receive(self, data: bytes) -> Request | None:
        """Take `data` in; return the request when it is complete, else ``None``."""
        self._buffer += data
        while self._body_length is None:
            end = self._buffer.find(b"\n", max(self._start, self._scanned))
            line_length = (len(self._buffer) if end < 0 else end) - self._start
            if line_length > LINE_LIMIT:
                return Dropped(f"line of more than {LINE_LIMIT} bytes")
            if end < 0:
                self._scanned = len(self._buffer)
                return None
            line, nul, _ = bytes(self._buffer[self._start : end]).partition(b"\0")
            self._start = end + 1
            request = self._line(line)
            if request is not None:
                if nul and isinstance(request, Lookup | ChangePassword):
                    # The client that sent what follows the NUL believes in another user or password.
                    return Rejected(request.service, "NUL in the line", request.user)
                return request
        if len(self._buffer) - self._start < self._body_length:
            return None
        return parse_auth_body(bytes(self._buffer[self._start : self._start + self._body_length]))

    @property
    def surplus(self) -> bytes:
        """Bytes behind the line of a request, as far as they were received with it."""
        return bytes(self._buffer[self._start :]) if len(self._buffer) > self._start else b""

    @property
    def is_empty(self) -> bool:
        """Whether nothing was received."""
        return not self._buffer

    def _line(self, line: bytes) -> Request | None:
        """Act on one line; return a request if it was the last one needed."""
        verb, _, argument = line.partition(b" ")
        if b"=" in verb:
            name, _, value = line.partition(b"=")
            if name == b"TCPREMOTEIP":
                self.remote_ip = value[:REMOTE_IP_LIMIT]
            return None
        argument = argument.lstrip(b" ")
        if verb == b"AUTH":
            return self._expect_body(argument)
        parse = _COMMANDS.get(verb)
        return Dropped(unknown_command(line)) if parse is None else parse(argument)

    def _expect_body(self, argument: bytes) -> Request | None:
        length = atoi(argument)
        if not 0 <= length < BODY_LIMIT:
            return Dropped(f"AUTH length not within 0 to {BODY_LIMIT - 1}")
        self._body_length = length
        return None


def _parse_pre(argument: bytes) -> Request:
    authlist, first, rest = argument.partition(b" ")
    service, second, user = rest.lstrip(b" ").partition(b" ")
    if not first or not second:
        return Dropped("PRE with fewer than three fields")
    return Lookup(authlist, service, user.lstrip(b" "))


def _parse_passwd(argument: bytes) -> Request:
    fields = argument.split(b"\t")
    user = fields[1] if len(fields) >= PASSWD_FIELDS else b""
    if any(byte < 0x20 and byte != 0x09 for byte in argument):
        return Rejected(fields[0], "control byte in PASSWD", user)
    if len(fields) < PASSWD_FIELDS:
        return Dropped("PASSWD with fewer than four fields")
    if len(fields) > PASSWD_FIELDS:
        # One of the tabs was meant to be part of a name or a password, and which one can't be known.
        return Rejected(fields[0], "tab in user name or password", user)
    return ChangePassword(fields[0], fields[1], fields[2], fields[3])


def _parse_enumerate(_argument: bytes) -> Request:
    return Enumerate()


_COMMANDS: dict[bytes, Callable[[bytes], Request]] = {
    b"PRE": _parse_pre,
    b"PASSWD": _parse_passwd,
    b"ENUMERATE": _parse_enumerate,
}
