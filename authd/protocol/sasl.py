"""SASL mechanisms, the server's side, sans-IO: what the client answers in, a login out.

PLAIN is RFC 4616, LOGIN is described by draft-murchison-sasl-login, CRAM-MD5 is RFC 2195.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from authd.protocol.request import Cram, Login


@dataclass(frozen=True, slots=True)
class Challenge:
    """What the client must answer next."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """An exchange that can't come to a good end.

    :param problem: for the log.
    :param user: who it was about, if that is known.
    :param code: Dovecot's word for it; empty where it has none.
    :param tells_user: whether the client is told `user`, which is for the log alone otherwise.
    """

    problem: str
    user: bytes = b""
    code: bytes = b""
    tells_user: bool = True


Step = Challenge | Login | Cram | Refusal


class Mechanism(ABC):
    """One exchange.

    :param service: the service that the user logs in to.
    """

    __slots__ = ("_service",)

    name: ClassVar[bytes]

    flags: ClassVar[tuple[bytes, ...]]
    """Its security properties in Dovecot's words."""

    def __init__(self, service: bytes) -> None:
        self._service = service

    @abstractmethod
    def step(self, response: bytes | None) -> Step:
        """Return what comes next after the client's `response`; ``None`` at the beginning where there was none yet."""


class Plain(Mechanism):
    """``[authzid] NUL authcid NUL password``."""

    __slots__ = ()

    name = b"PLAIN"
    flags = (b"plaintext",)

    def step(self, response: bytes | None) -> Step:
        if response is None:
            return Challenge(b"")
        parts = response.split(b"\0")
        if len(parts) != 3:
            # Where there are more, the user is certain to be the second; in fewer, a password could be.
            return Refusal("PLAIN without two NULs", parts[1] if len(parts) > 3 else b"", tells_user=False)
        authzid, user, password = parts
        if authzid not in (b"", user):
            return Refusal("PLAIN for somebody else", user, b"authz_fail")
        return _login(self._service, user, password)


class LoginMechanism(Mechanism):
    """The user name, then the password, each asked for."""

    __slots__ = ("_user",)

    name = b"LOGIN"
    flags = (b"plaintext",)

    def __init__(self, service: bytes) -> None:
        super().__init__(service)
        self._user: bytes | None = None

    def step(self, response: bytes | None) -> Step:
        if response is None:
            return Challenge(b"Username:")
        if self._user is None:
            if not response or b"\0" in response:
                return Refusal("empty user name, or NUL in it")
            self._user = response
            return Challenge(b"Password:")
        return _login(self._service, self._user, response)


class CramMd5(Mechanism):
    """A keyed digest of a challenge.

    :param challenge: never the same twice.
    """

    __slots__ = ("_challenge", "_sent")

    name = b"CRAM-MD5"
    flags = (b"dictionary", b"active")

    def __init__(self, service: bytes, challenge: bytes) -> None:
        super().__init__(service)
        self._challenge = challenge
        self._sent = False

    def step(self, response: bytes | None) -> Step:
        if not self._sent:
            self._sent = True
            return Challenge(self._challenge) if not response else Refusal("CRAM-MD5 with an initial response")
        # A user name may have spaces; the digest has none.
        user, _, digest = (response or b"").rpartition(b" ")
        if not user or b"\0" in user:
            return Refusal("CRAM response without a user or a digest")
        return Cram(self._service, user, "md5", self._challenge, digest)


def mechanism(name: bytes, service: bytes, cram: bool, random: Callable[[int], bytes]) -> Mechanism | None:
    """Return the beginning of an exchange of mechanism `name`, or ``None`` if it is not offered.

    :param cram: whether CRAM-MD5 is offered.
    :param random: returns as many random bytes as it is asked for.
    """
    match name.upper():
        case Plain.name:
            return Plain(service)
        case LoginMechanism.name:
            return LoginMechanism(service)
        case CramMd5.name if cram:
            return CramMd5(service, b"<%b@authd>" % random(16).hex().encode())
        case _:
            return None


def offered(cram: bool) -> tuple[type[Mechanism], ...]:
    """Return the mechanisms on offer."""
    return (Plain, LoginMechanism, CramMd5) if cram else (Plain, LoginMechanism)


def _login(service: bytes, user: bytes, password: bytes) -> Step:
    if not user or not password:
        return Refusal("empty user name or password", user)
    if b"\0" in user or b"\0" in password:
        return Refusal("NUL in user name or password", user)
    return Login(service, user, password)
