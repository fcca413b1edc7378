"""The real Courier and authd, side by side on the same files."""

from __future__ import annotations

import re
from pathlib import Path

from authd.passwords import Verdict, verify
from tests.support.courier import Courier
from tests.support.daemon import Authd
from tests.support.pam import System
from tests.support.processes import Service
from tests.support.wire import exchange, passwd, pre


class Pair(Service):
    """Both daemons on the configuration in `etc`.

    :param system: the accounts and PAM stacks that they see; the machine's own without it.
    """

    def __init__(self, root: Path, etc: Path, run: Path, system: System | None = None) -> None:
        self.etc = etc
        self._prefix = system.prefix if system is not None else ()
        self.courier = Courier(root, etc, system.mounts if system is not None else None)
        self.authd = Authd(etc, run)

    def start(self) -> None:
        """Start both."""
        self.courier.start()
        self.authd.start(prefix=self._prefix)

    def stop(self) -> None:
        """End both."""
        self.courier.stop()
        self.authd.stop()

    def ask(self, *pieces: bytes) -> tuple[bytes, bytes]:
        """Return Courier's and authd's reply to the same pieces."""
        return (exchange(self.courier.socket, *pieces, shut=True), exchange(self.authd.socket, *pieces, shut=True))


def whole(request: bytes) -> list[bytes]:
    """Return `request` in one piece."""
    return [request]


def halves(request: bytes) -> list[bytes]:
    """Return `request` in two pieces."""
    middle = len(request) // 2
    return [request[:middle], request[middle:]]


def crumbs(request: bytes) -> list[bytes]:
    """Return `request` byte by byte, or in pieces of 97 where that would take long."""
    size = 1 if len(request) <= 600 else 97
    return [request[start : start + size] for start in range(0, len(request), size)]


def change_and_look(socket: Path, user: str, old: str, new: str) -> tuple[bytes, bytes]:
    """Change a password; return the reply, and the account afterwards with its new hash as ``SCHEME(new)``.

    The salt is random, so what is compared is the scheme and whether the hash is one of the new password.
    """
    reply = exchange(socket, passwd("imap", user, old, new))
    account = exchange(socket, pre(user))

    def normal(match: re.Match[bytes]) -> bytes:
        scheme = re.match(rb"\{[^}]*\}|\$[^$]*\$|", match[1])
        assert scheme is not None
        matches = verify(new.encode(), match[1]) is Verdict.MATCH
        return b"PASSWD=%b(%b)\n" % (scheme[0], b"new" if matches else match[1])

    return reply, re.sub(rb"(?m)^PASSWD=(.+)\n", normal, account)
