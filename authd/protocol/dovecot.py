"""The lines of Dovecot's protocols.

::

    line  = field *(TAB field) LF
    field = *(octet except TAB, LF, CR, NUL, 0x01 / escape)
    escape = 0x01 ("0" / "1" / "t" / "r" / "n")        ; NUL, 0x01, TAB, CR, LF
"""

from __future__ import annotations

import re

from authd.protocol.conversation import BufferedConversation, Terms
from authd.protocol.request import Dropped

MAJOR = 1
"""The version of both protocols; a client with another is sent away."""

_ESCAPES = {b"\0": b"\x010", b"\x01": b"\x011", b"\t": b"\x01t", b"\r": b"\x01r", b"\n": b"\x01n"}
_MEANINGS = {escape[1:]: byte for byte, escape in _ESCAPES.items()}


def escape(value: bytes) -> bytes:
    """Return `value` as it stands in a field."""
    return re.sub(rb"[\0\x01\t\r\n]", lambda match: _ESCAPES[match[0]], value)


def unescape(field: bytes) -> bytes:
    """Return the value that a field stands for; an escape that there is none of stands for its second byte."""
    return re.sub(rb"(?s)\x01(.)", lambda match: _MEANINGS.get(match[1], match[1]), field)


def line(*fields: bytes) -> bytes:
    """Return one line of `fields`, which are escaped already where they must be."""
    return b"\t".join(fields) + b"\n"


def parameters(fields: list[bytes]) -> dict[bytes, bytes]:
    """Return ``key=value`` fields as values by their keys; a key alone has an empty one."""
    found = {}
    for field in fields:
        key, _, value = unescape(field).partition(b"=")
        found[key] = value
    return found


def parse_id(field: bytes) -> bytes | None:
    """Return a request's id without the zeros before it, or ``None`` if it is no number of 32 bits other than 0."""
    match = re.fullmatch(rb"0*([1-9][0-9]{0,9})", field)
    return match[1] if match is not None and int(match[1]) < 2**32 else None


class DovecotConversation(BufferedConversation):
    """A conversation in lines that lasts for many requests."""

    __slots__ = ("_greeted", "client_minor")

    lasting = True

    line_limit = 16384
    """Bytes that a line may have; Dovecot's for its auth clients, and more than its userdb clients may send."""

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self.client_minor = 0
        self._greeted: set[bytes] = set()

    @property
    def at_rest(self) -> bool:
        return not self._buffer

    def _next_line(self) -> list[bytes] | Dropped | None:
        """Return the fields of the next line, ``None`` if it is not complete, or why the client must go."""
        end = self._buffer.find(b"\n")
        if max(end, len(self._buffer) if end < 0 else 0) > self.line_limit:
            return self._drop(f"line of more than {self.line_limit} bytes")
        if end < 0:
            if self._ended:
                self.closing = True
            return None
        fields = bytes(self._buffer[:end]).split(b"\t")
        del self._buffer[: end + 1]
        return fields

    def _version(self, fields: list[bytes]) -> Dropped | None:
        """Act on the client's ``VERSION``."""
        numbers = [int(field) if re.fullmatch(rb"[0-9]{1,9}", field) else -1 for field in fields[1:]]
        if len(numbers) != 2 or numbers[0] != MAJOR or numbers[1] < 0:
            return self._drop("unknown version of the protocol")
        self.client_minor = numbers[1]
        return self._greet(b"VERSION")

    def _greet(self, command: bytes) -> Dropped | None:
        """Note that the client said `command` of the beginning, which it may once."""
        if command in self._greeted:
            return self._drop(f"a second {command.decode()}")
        self._greeted.add(command)
        return None

    def _drop(self, problem: str) -> Dropped:
        self.closing = True
        self._buffer.clear()
        return Dropped(problem)
