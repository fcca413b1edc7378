"""Dovecot's auth-client protocol: what Postfix and Exim speak with ``smtpd_sasl_type = dovecot`` and ``driver = dovecot``.

::

    server: VERSION MECH… SPID CUID COOKIE DONE        ; all at once, on connecting: older Exims wait for DONE
    client: VERSION TAB major TAB minor, CPID TAB pid
    client: AUTH TAB id TAB mechanism TAB service=… [TAB key[=value]]… [TAB resp=base64]
    client: CONT TAB id TAB base64
    client: CANCEL TAB id
    server: CONT TAB id TAB base64
    server: OK TAB id TAB user=…
    server: FAIL TAB id [TAB user=…] [TAB code=…]

A connection carries many requests, several of them at a time.  Postfix and Exim take every ``FAIL`` for a wrong password;
what they take for a temporary failure is a connection that closes.  Clients of version 1.2 and later are told
``code=temp_fail``.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

from authd.account import until_end
from authd.outcome import Answer, Outcome
from authd.protocol.conversation import Listing, Terms, unknown_command
from authd.protocol.dovecot import DovecotConversation, escape, line, parameters, parse_id
from authd.protocol.request import Cram, Dropped, Login, Rejected, Request
from authd.protocol.sasl import Challenge, Mechanism, Refusal, mechanism, offered
from authd.protocol.strict64 import decode_base64

MINOR = 2
"""The protocol's minor version that we say; the one since which failures have codes."""

MOST_EXCHANGES = 256
"""Exchanges that one connection may have begun and not ended; Postfix has one."""


@dataclass(slots=True)
class _Exchange:
    """One login under way."""

    id: bytes
    service: bytes
    remote_ip: bytes
    secured: bool
    mechanism: Mechanism


class DovecotAuthConversation(DovecotConversation):
    """A mail server's logins, one connection for all of them."""

    __slots__ = ("_asked", "_code", "_doomed", "_exchanges", "_tells_user")

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self._exchanges: dict[bytes, _Exchange] = {}
        self._asked = b""
        self._code = b""
        self._tells_user = True
        self._doomed = False
        cuid = int.from_bytes(terms.random(4), "big") or 1
        self._output = b"".join(
            [
                line(b"VERSION", b"1", b"%d" % MINOR),
                *(line(b"MECH", kind.name, *kind.flags) for kind in offered(terms.cram())),
                line(b"SPID", b"%d" % terms.pid),
                line(b"CUID", b"%d" % cuid),
                line(b"COOKIE", terms.random(16).hex().encode()),
                line(b"DONE"),
            ]
        )

    @property
    def under_way(self) -> bool:
        return bool(self._exchanges)

    def next_request(self) -> Request | None:
        while not self.closing:
            fields = self._next_line()
            if fields is None:
                # Whatever else was asked in time has been answered.
                self.closing = self.closing or self._doomed
                return None
            request = fields if isinstance(fields, Dropped) else self._command(fields)
            if request is not None:
                return request
        return None

    def answer(self, request: Request, answer: Answer | Listing) -> None:
        if isinstance(request, Dropped) or not isinstance(answer, Answer):
            return
        user = request.user if isinstance(request, Login | Cram | Rejected) else b""
        if answer.outcome is Outcome.TEMPFAIL:
            if self.client_minor < MINOR:
                self._doomed = True
            else:
                self._fail(user, b"temp_fail")
        elif answer.outcome is Outcome.OK and answer.account is not None:
            self._output += line(b"OK", self._asked, b"user=" + escape(until_end(answer.account.address or user)))
        else:
            self._fail(user, b"user_disabled" if answer.disabled else self._code)

    def _fail(self, user: bytes, code: bytes) -> None:
        fields = [b"FAIL", self._asked]
        if user and self._tells_user:
            fields.append(b"user=" + escape(user))
        if code:
            fields.append(b"code=" + code)
        self._output += line(*fields)

    def _command(self, fields: list[bytes]) -> Request | None:
        match fields[0]:
            case b"VERSION":
                return self._version(fields)
            case b"CPID":
                if len(fields) < 2 or parse_id(fields[1]) is None:
                    return self._drop("CPID that is no process id")
                return self._greet(b"CPID")
            case b"AUTH" if len(fields) >= 3:
                return self._auth(fields)
            case b"CONT" if len(fields) >= 3:
                return self._cont(fields)
            case b"CANCEL" if len(fields) >= 2:
                return self._cancel(fields[1])
            case _:
                return self._drop(unknown_command(b" ".join(fields[:2])) + ", or an incomplete one")

    def _auth(self, fields: list[bytes]) -> Request | None:
        number = parse_id(fields[1])
        if number is None or number in self._exchanges:
            return self._drop("id that is no number, or that is in use")
        if len(self._exchanges) >= MOST_EXCHANGES:
            return self._drop(f"more than {MOST_EXCHANGES} logins begun and not ended")
        if any(field.startswith(b"resp=") for field in fields[3:-1]):
            return self._drop("something behind resp=")
        known = parameters(fields[3:])
        service = known.get(b"service") or known.get(b"protocol", known.get(b"service"))
        if service is None:
            return self._drop("AUTH without service=")
        if not service:
            return self._reject(number, b"", Refusal("AUTH with an empty service="))
        kind = mechanism(fields[2], service, self._terms.cram(), self._terms.random)
        if kind is None:
            return self._reject(number, service, Refusal("mechanism that is not offered"))
        exchange = _Exchange(number, service, known.get(b"rip", b""), b"secured" in known, kind)
        response = known.get(b"resp")
        if response == b"" and self.client_minor < MINOR:
            response = None
        return self._step(exchange, b"" if response == b"=" else response)

    def _cont(self, fields: list[bytes]) -> Request | None:
        number = b"0" if fields[1] == b"0" else parse_id(fields[1])
        if number is None:
            return self._drop("id that is no number")
        exchange = self._exchanges.pop(number, None)
        if exchange is None:
            return self._reject(number, b"", Refusal("CONT for a login that is not under way"))
        # All that follows the id is the response; a tab is not base64.
        return self._step(exchange, b"\t".join(fields[2:]))

    def _cancel(self, field: bytes) -> Dropped | None:
        number = parse_id(field)
        if number is None:
            return self._drop("id that is no number")
        self._exchanges.pop(number, None)
        return None

    def _step(self, exchange: _Exchange, encoded: bytes | None) -> Request | None:
        """Go on with an exchange; return a request if it came to one."""
        self.remote_ip, self.secured = exchange.remote_ip, exchange.secured
        response = None if encoded is None else decode_base64(encoded)
        if encoded is not None and response is None:
            return self._reject(exchange.id, exchange.service, Refusal("invalid base64", code=b"invalid_base64"))
        step = exchange.mechanism.step(response)
        if isinstance(step, Challenge):
            self._exchanges[exchange.id] = exchange
            self._output += line(b"CONT", exchange.id, base64.b64encode(step.text))
            return None
        if isinstance(step, Refusal):
            return self._reject(exchange.id, exchange.service, step)
        self._asked, self._code, self._tells_user = exchange.id, b"", True
        return step

    def _reject(self, number: bytes, service: bytes, refusal: Refusal) -> Rejected:
        self._asked, self._code, self._tells_user = number, refusal.code, refusal.tells_user
        return Rejected(service, refusal.problem, refusal.user)
