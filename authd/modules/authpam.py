"""authpam: the system's accounts, their passwords checked by PAM.

The service that a client names is PAM's: ``imap`` is /etc/pam.d/imap.  Each check has a handle and a process of its own, since
what a PAM module leaves behind, or waits for, is nobody else's affair; a process that takes too long is killed.
"""

from __future__ import annotations

import os
import re
import select
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pamela

from authd.account import Account, Entry
from authd.config.problem import Problem
from authd.modules import systemaccounts
from authd.modules.base import Module, TemporaryFailure
from authd.modules.inquiry import Ask, Find, Inquiry
from authd.outcome import Answer, Outcome, Reason, reject

PAM_DIRECTORY = Path("/etc/pam.d")

SERVICE = re.compile(rb"[\w.+-]+", re.ASCII)
"""What can be the name of a file in /etc/pam.d, and of none elsewhere."""

MOST_AT_ONCE = 16
"""Processes of one worker."""

SUCCESS = 0
UNKNOWN_USER = 10
EXPIRED_PASSWORD = 12
EXPIRED_ACCOUNT = 13
REFUSING = frozenset({6, 7, 8, 11, UNKNOWN_USER, EXPIRED_PASSWORD, EXPIRED_ACCOUNT, 20, 25, 27})
"""PAM's codes, of <security/_pam_types.h>, that say something of the user; all others say that PAM can't tell."""

_REASONS = {
    UNKNOWN_USER: Reason.NO_SUCH_USER,
    EXPIRED_PASSWORD: Reason.PASSWORD_EXPIRED,
    EXPIRED_ACCOUNT: Reason.ACCOUNT_EXPIRED,
}

_PROMPTS = 8
"""So many times a PAM module may ask for a password."""


@dataclass(frozen=True, slots=True)
class PamCheck:
    """The question whether PAM lets a user in, and, if so, whether it takes a new password.

    :param remote_ip: address of the mail client, which PAM modules know as the remote host; empty where it was not told.
    :param new: the new password; ``None`` to change none.
    """

    service: bytes
    user: bytes
    password: bytes = field(repr=False)
    remote_ip: bytes = b""
    new: bytes | None = field(default=None, repr=False)


class AuthPam(Module):
    """The system's accounts, as PAM sees them."""

    name = "authpam"
    login_tempfail = "fail"
    asks_at_once = True

    def find(self, service: bytes, user: bytes) -> Account | None:
        account = systemaccounts.find_account(user)
        if account is not None:
            shadow = systemaccounts.find_shadow(user)
            if shadow is not None:
                account.crypt = shadow.password
        return account

    def login(self, service: bytes, user: bytes, password: bytes, remote_ip: bytes = b"") -> Inquiry[Answer]:
        return (yield from self._checked(PamCheck(service, user, password, remote_ip), Reason.PASSWORD_MATCHES))

    def change_password(self, service: bytes, user: bytes, old: bytes, new: bytes) -> Inquiry[Answer]:
        return (yield from self._checked(PamCheck(service, user, old, new=new), Reason.PASSWORD_CHANGED))

    def cram(self, service: bytes, user: bytes, digest: str, challenge: bytes, response: bytes) -> Inquiry[Answer]:
        account: Account | None = yield Find(self, service, user)
        return reject(Reason.NO_SUCH_USER if account is None else Reason.NO_CLEARTEXT, account)

    def ask_each(self, questions: Sequence[PamCheck]) -> list[int | TemporaryFailure]:
        """Return PAM's code for each check, of which several run at once."""
        codes: list[int | TemporaryFailure] = []
        for start in range(0, len(questions), MOST_AT_ONCE):
            deadline = time.monotonic() + self._surroundings.timeout
            running = [
                _start(question, self._surroundings.timeout) for question in questions[start : start + MOST_AT_ONCE]
            ]
            codes += [_code_of(process, descriptor, deadline) for process, descriptor in running]
        return codes

    def enumerate(self) -> Iterator[Entry]:
        return systemaccounts.entries()

    def check(self) -> Iterator[Problem]:
        if os.geteuid() != 0:
            yield Problem(
                PAM_DIRECTORY,
                "PAM checks the passwords of others for root alone",
                "run the daemon as root, without AUTHD_USER, unless your PAM modules need no root",
                fatal=False,
            )

    def close(self) -> None:
        """Nothing is open."""

    def _checked(self, question: PamCheck, success: Reason) -> Inquiry[Answer]:
        if not SERVICE.fullmatch(question.service) or question.service.startswith(b"."):
            return reject(Reason.REFUSED, detail="the service can't be one of PAM's")
        # Asked whether or not there is such a user, so that the time does not tell.
        code: int = yield Ask(self, question)
        account: Account | None = yield Find(self, question.service, question.user)
        if code in REFUSING:
            return reject(_REASONS.get(code, Reason.WRONG_PASSWORD), account)
        if code != SUCCESS:
            raise TemporaryFailure(Reason.UNREACHABLE, f"PAM's code is {code}")
        return (
            reject(Reason.NO_SUCH_USER)
            if account is None
            else Answer(Outcome.OK, success, account.with_clear(question.password))
        )


def _start(question: PamCheck, seconds: float) -> tuple[int, int]:
    """Start a check; return its process and where its code can be read."""
    reading, writing = os.pipe()
    process = os.fork()
    if process:
        os.close(writing)
        return process, reading
    code = 255
    try:
        # Clients must not be kept waiting by a descriptor of theirs that lives on here.
        os.dup2(writing, 3)
        os.closerange(4, os.sysconf("SC_OPEN_MAX"))
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        # Should the worker be gone that would end this.
        signal.alarm(int(seconds) + 1)
        code = _pam(question)
        os.write(3, bytes([code]))
    finally:
        os._exit(code & 0x7F)


def _pam(question: PamCheck) -> int:
    passwords = [question.password] * _PROMPTS
    conversation = pamela.new_simple_password_conv(passwords, "utf-8")
    handle = pamela.pam_start(question.service, question.user, conv_func=conversation)
    if question.remote_ip:
        pamela.PAM_SET_ITEM(handle, pamela.PAM_RHOST, question.remote_ip)
    code: int = pamela.PAM_AUTHENTICATE(handle, 0) or pamela.PAM_ACCT_MGMT(handle, 0)
    pamela.PAM_END(handle, code)
    if code or question.new is None:
        return code
    # Root is asked for the new password alone, twice.
    answers = [question.new] * _PROMPTS if os.geteuid() == 0 else [question.password, *[question.new] * _PROMPTS]
    conversation = pamela.new_simple_password_conv(answers, "utf-8")
    handle = pamela.pam_start(question.service, question.user, conv_func=conversation)
    code = pamela.PAM_CHAUTHTOK(handle, 0)
    pamela.PAM_END(handle, code)
    return code


def _code_of(process: int, descriptor: int, deadline: float) -> int | TemporaryFailure:
    """Wait for a check, kill it if it takes too long, and return PAM's code."""
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            os.kill(process, signal.SIGKILL)
            return TemporaryFailure(Reason.UNREACHABLE, "PAM has not answered in time")
        said = os.read(descriptor, 1)
        return said[0] if said else TemporaryFailure(Reason.UNREACHABLE, "PAM ended without an answer")
    finally:
        os.close(descriptor)
        os.waitpid(process, 0)
