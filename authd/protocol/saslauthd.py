"""saslauthd's protocol: whether a login and a password belong together, and nothing else.

::

    request = login password service realm [address]
    each    = length length*octet                  ; length: 16 bits, most significant byte first
    reply   = length ("OK" / "NO")

One request a connection.  A client that has the realm apart means ``login@realm``.  The fifth string, ``ip;port``, is
newer than most clients.  There is no word for a temporary failure: the connection closes without one, which Cyrus SASL
takes for a failure of ours and not of the password.
"""

from __future__ import annotations

from authd.outcome import Answer, Outcome
from authd.protocol.conversation import BufferedConversation, Listing, Terms
from authd.protocol.request import Dropped, Login, Rejected, Request

FIELD_LIMIT = 4096
"""Bytes that one string may have; saslauthd itself allows 256, which is too few for some passwords that are tokens."""

_FIELDS = 4

OK = b"\0\x02OK"
NO = b"\0\x02NO"


class SaslauthdConversation(BufferedConversation):
    """One question whether a password is right."""

    __slots__ = ()

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        # Nobody tells; what is off for insecure connections alone can't be enforced here.
        self.secured = True

    def next_request(self) -> Request | None:
        if self.closing:
            return None
        fields: list[bytes] = []
        start = 0
        while len(fields) <= _FIELDS and len(self._buffer) >= start + 2:
            length = int.from_bytes(self._buffer[start : start + 2], "big")
            if length > FIELD_LIMIT:
                return Dropped(f"string of more than {FIELD_LIMIT} bytes")
            field = bytes(self._buffer[start + 2 : start + 2 + length])
            if len(field) < length:
                break
            fields.append(field)
            start += 2 + length
        if len(fields) < _FIELDS:
            return self._ended_early() if self._ended else None
        if len(fields) > _FIELDS:
            self.remote_ip = fields[_FIELDS].partition(b";")[0]
        return _request(*fields[:_FIELDS])

    def answer(self, request: Request, answer: Answer | Listing) -> None:
        self.closing = True
        if isinstance(request, Dropped) or not isinstance(answer, Answer) or answer.outcome is Outcome.TEMPFAIL:
            return
        self._output = OK if answer.outcome is Outcome.OK else NO


def _request(login: bytes, password: bytes, service: bytes, realm: bytes) -> Request:
    user = b"%b@%b" % (login, realm) if realm else login
    if not login or not password:
        return Rejected(service, "empty user name or password", user)
    if b"\0" in user or b"\0" in password:
        return Rejected(service, "NUL in user name or password", user)
    return Login(service, user, password)
