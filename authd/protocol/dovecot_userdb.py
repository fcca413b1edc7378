"""Dovecot's auth-userdb protocol: where an account's mail is.

::

    server: VERSION TAB 1 TAB minor, SPID TAB pid                             ; at once, on connecting
    client: VERSION TAB 1 TAB minor
    client: USER TAB id TAB user TAB service=…       server: USER TAB id TAB user TAB uid=… gid=… home=… mail=…
    client: PASS TAB id TAB user TAB service=…       server: PASS TAB id TAB user=…
                                                     server: NOTFOUND TAB id / FAIL TAB id
    client: LIST TAB id [TAB user=mask]              server: LIST TAB id TAB user …, DONE TAB id [TAB fail]

``FAIL`` is a temporary failure.  ``PASS`` says whether somebody could log in, never with which password.
"""

from __future__ import annotations

import re

from authd.account import Account, until_end
from authd.outcome import Answer, Outcome
from authd.protocol.conversation import Listing, Terms, unknown_command
from authd.protocol.dovecot import DovecotConversation, escape, line, parameters, parse_id, unescape
from authd.protocol.request import EVERY_MODULE, Dropped, Enumerate, Lookup, Request

MINOR = 1
"""The protocol's minor version that we say."""


class DovecotUserdbConversation(DovecotConversation):
    """A mail server's questions about accounts."""

    __slots__ = ("_asked", "_command", "_mask")

    @property
    def enforces_options(self) -> bool:  # type: ignore[override]
        """Whether options count: for ``PASS`` alone, which asks whether a user can log in."""
        return self._command == b"PASS"

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self._command = b""
        self._asked = b""
        self._mask = b"*"
        self._output = line(b"VERSION", b"1", b"%d" % MINOR) + line(b"SPID", b"%d" % terms.pid)

    def next_request(self) -> Request | None:
        while not self.closing:
            fields = self._next_line()
            if fields is None or isinstance(fields, Dropped):
                return fields
            request = self._request(fields)
            if request is not None:
                return request
        return None

    def answer(self, request: Request, answer: Answer | Listing) -> None:
        number = self._asked
        if isinstance(request, Dropped):
            return
        if not isinstance(answer, Answer):
            self._output += self._listing(number, answer)
        elif answer.outcome is Outcome.TEMPFAIL:
            self._output += line(b"FAIL", number)
        elif answer.outcome is Outcome.REJECT or answer.account is None or not isinstance(request, Lookup):
            self._output += line(b"NOTFOUND", number)
        elif self._command == b"PASS":
            self._output += line(b"PASS", number, b"user=" + _name(answer.account, request))
        else:
            self._output += line(b"USER", number, _name(answer.account, request), *_fields(answer.account))

    def _request(self, fields: list[bytes]) -> Request | None:
        self._command = fields[0]
        if self._command == b"VERSION":
            return self._version(fields)
        if self._command == b"CPID":
            return None
        number = parse_id(fields[1]) if len(fields) > 1 else None
        if number is None:
            return self._drop(unknown_command(b" ".join(fields[:2])) + ", or id that is no number")
        self._asked = number
        if self._command == b"LIST":
            self._mask = parameters(fields[2:]).get(b"user") or b"*"
            return Enumerate()
        if self._command not in (b"USER", b"PASS") or len(fields) < 3:
            return self._drop(unknown_command(b" ".join(fields[:2])) + ", or an incomplete one")
        known = parameters(fields[3:])
        self.remote_ip, self.secured = known.get(b"rip", b""), b"secured" in known
        service = known.get(b"service") or known.get(b"protocol") or b"dovecot"
        return Lookup(EVERY_MODULE, service, unescape(fields[2]))

    def _listing(self, number: bytes, listing: Listing) -> bytes:
        reply = bytearray()
        wanted = _compile_mask(self._mask)
        for _, entries in listing.blocks():
            for entry in entries:
                if entry.uid and entry.gid and wanted.fullmatch(entry.address):
                    reply += line(b"LIST", number, escape(until_end(entry.address)))
        return bytes(reply + line(b"DONE", number, b"" if listing.complete else b"fail"))


def _name(account: Account, request: Lookup) -> bytes:
    return escape(until_end(account.address or request.user))


def _fields(account: Account) -> list[bytes]:
    values = (
        (b"uid", b"%d" % account.uid),
        (b"gid", b"%d" % account.gid),
        (b"home", account.home),
        (b"mail", b"maildir:" + account.maildir_path),
    )
    return [escape(b"%b=%b" % (key, until_end(value))) for key, value in values]


def _compile_mask(mask: bytes) -> re.Pattern[bytes]:
    """Return what a mask matches: ``*`` is any text, ``?`` any byte; upper and lower case are the same."""
    pattern = re.escape(mask).replace(rb"\*", b".*").replace(rb"\?", b".")
    return re.compile(pattern, re.DOTALL | re.IGNORECASE)
