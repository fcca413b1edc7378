"""authpam: the system's accounts, their passwords checked by PAM.

The service that a client names is PAM's: ``imap`` is /etc/pam.d/imap.  Each check has a handle of its own, and is
made by another process, since what a PAM module waits for is nobody else's affair; see ``pamprocess.py``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence

from authd.account import Account, Entry
from authd.config.problem import Problem
from authd.modules import systemaccounts
from authd.modules.base import Module, Surroundings
from authd.modules.inquiry import Ask, Find, Inquiry
from authd.modules.pamprocess import Given, PamProcesses
from authd.modules.pamstack import PAM_DIRECTORY
from authd.modules.pamtransaction import SUCCESS, PamCheck, PamResult
from authd.modules.pamverdict import failure
from authd.modules.systemaccounts import SystemAccount
from authd.outcome import Answer, Outcome, Reason, reject

SERVICE = re.compile(rb"[\w.+-]+", re.ASCII)
"""What can be the name of a file in /etc/pam.d, and of none elsewhere."""


class AuthPam(Module):
    """The system's accounts, as PAM sees them."""

    name = "authpam"
    login_tempfail = "fail"
    # A login goes by what the stack of the service looks at: the address, the hour, the tries before.
    caches_lookups = True
    asks_at_once = True

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__(surroundings)
        self._processes = PamProcesses(surroundings.timeout)

    def find(self, service: bytes, user: bytes) -> Account | None:
        return systemaccounts.find_shadowed(user)

    def login(self, service: bytes, user: bytes, password: bytes, remote_ip: bytes = b"") -> Inquiry[Answer]:
        return (yield from self._checked(PamCheck(service, user, password, remote_ip), Reason.PASSWORD_MATCHES))

    def change_password(self, service: bytes, user: bytes, old: bytes, new: bytes) -> Inquiry[Answer]:
        return (yield from self._checked(PamCheck(service, user, old, new=new), Reason.PASSWORD_CHANGED))

    def cram(self, service: bytes, user: bytes, digest: str, challenge: bytes, response: bytes) -> Inquiry[Answer]:
        account: Account | None = yield Find(self, service, user)
        return reject(Reason.NO_SUCH_USER if account is None else Reason.NO_CLEARTEXT, account)

    def ask_each(self, questions: Sequence[PamCheck]) -> list[Given]:
        return self._processes.run(questions)

    def enumerate(self) -> Iterator[Entry]:
        return systemaccounts.entries()

    def check(self) -> Iterator[Problem]:
        yield from ()

    def hindrances(self) -> Iterator[Problem]:
        if os.geteuid() != 0:
            yield Problem(
                PAM_DIRECTORY,
                "PAM checks the passwords of others for root alone",
                "run the daemon as root, without AUTHD_USER, unless your PAM modules need no root",
                fatal=False,
            )

    def close(self) -> None:
        self._processes.close()

    def _checked(self, question: PamCheck, success: Reason) -> Inquiry[Answer]:
        if not SERVICE.fullmatch(question.service) or question.service.startswith(b"."):
            return reject(Reason.REFUSED, detail="the service can't be one of PAM's")
        if any(b"\0" in text for text in (question.user, question.password, question.remote_ip, question.new or b"")):
            # In the packet, what follows a NUL is the next field: behind the address, the new password.
            return reject(Reason.REFUSED, detail="a NUL in a name, a password or an address")
        # Asked whether or not there is such a user, so that the time does not tell.
        result: PamResult = yield Ask(self, question)
        account: SystemAccount | None = yield Find(self, question.service, question.user)
        if result.code != SUCCESS:
            return failure(question.service, question.user, result, account)
        if account is None:
            return reject(Reason.NO_SUCH_USER, detail="PAM lets the user in, but getpwnam(3) finds no account")
        return Answer(Outcome.OK, success, account.with_clear(question.password))
