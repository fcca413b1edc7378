"""One conversation with PAM, from pam_start(3) to pam_end(3), and how it ended."""

from __future__ import annotations

import os
from collections.abc import Callable
from ctypes import POINTER, c_char_p, cast, sizeof
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import pamela

from authd.modules import systemaccounts
from authd.modules.base import TemporaryFailure
from authd.modules.decoys import Decoys
from authd.passwords import Verdict, verify
from authd.passwords.decoy import decoy_like, is_computed

SUCCESS = 0
AUTH_ERR = 7
USER_UNKNOWN = 10
NEW_AUTHTOK_REQD = 12
CONV_ERR = 19

MAX_TEXT = 300
"""Characters kept of what PAM's modules say to the user."""

_PROMPTS = 8
"""So many times a PAM module may ask for a password."""


class Phase(IntEnum):
    """The function of PAM's that gave the code."""

    START = 0
    AUTHENTICATE = 1
    ACCOUNT = 2
    CHANGE = 3

    @property
    def function(self) -> str:
        """Its name."""
        return ("pam_start", "pam_authenticate", "pam_acct_mgmt", "pam_chauthtok")[self]


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

    def packed(self) -> bytes:
        """Return the check as one packet.  C's strings, which PAM takes, have no NUL in them."""
        fields = (self.service, self.user, self.password, self.remote_ip)
        return b"\0".join(fields if self.new is None else (*fields, self.new))

    @classmethod
    def unpacked(cls, packet: bytes) -> PamCheck:
        """Return the check that a packet has."""
        service, user, password, remote_ip, *new = packet.split(b"\0")
        return cls(service, user, password, remote_ip, new[0] if new else None)


@dataclass(frozen=True, slots=True)
class PamResult:
    """How a transaction ended.

    :param phase: what gave the code.
    :param code: of <security/_pam_types.h>.
    :param complained: whether a module had an error message for the user, though it be empty.
    :param matches: whether the password is the one in the shadow file, where pam_authenticate(3) says AUTH_ERR; ``None`` where
        that has none.
    :param text: the messages, in one line.
    """

    phase: Phase
    code: int
    complained: bool = False
    matches: bool | None = None
    text: str = ""

    def packed(self) -> bytes:
        """Return the result as one packet."""
        header = bytes([self.phase, self.code & 0xFF, self.complained, _MATCHES.index(self.matches)])
        return header + self.text.encode()

    @classmethod
    def unpacked(cls, packet: bytes) -> PamResult:
        """Return the result that a packet has; raise `ValueError` for one that is cut off."""
        if len(packet) < 4:
            raise ValueError("a packet of fewer than 4 bytes")
        phase, code, complained, matches = packet[:4]
        return cls(Phase(phase), code, bool(complained), _MATCHES[matches], packet[4:].decode())

    def describe(self) -> str:
        """Return the function, PAM's words for the code, and the messages, in one line."""
        words = pamela.pam_strerror(pamela.PamHandle(), self.code)
        said = f": {self.text}" if self.text else ""
        return f"{self.phase.function}: {words} ({self.code}){said}"


_MATCHES = (None, False, True)


def ask_pam(check: PamCheck) -> PamResult:
    """Run one check, and, where it asks for that, change the password.  Takes as long as PAM's modules like."""
    messages: list[tuple[int, bytes]] = []

    def result(phase: Phase, code: int, matches: bool | None = None) -> PamResult:
        text = " ".join(b" ".join(text for _, text in messages).decode(errors="replace").split())
        complained = any(style == pamela.PAM_ERROR_MSG for style, _ in messages)
        return PamResult(phase, code, complained, matches, text[:MAX_TEXT])

    conversation = _conversation([check.password] * _PROMPTS, messages)
    try:
        handle = pamela.pam_start(check.service, check.user, conv_func=conversation)
    except pamela.PAMError as error:
        return result(Phase.START, error.errno)
    if check.remote_ip:
        pamela.PAM_SET_ITEM(handle, pamela.PAM_RHOST, check.remote_ip)
    phase, code = Phase.AUTHENTICATE, pamela.PAM_AUTHENTICATE(handle, 0)
    if code == SUCCESS:
        phase, code = Phase.ACCOUNT, pamela.PAM_ACCT_MGMT(handle, 0)
    pamela.PAM_END(handle, code)
    if phase is Phase.AUTHENTICATE and code in (AUTH_ERR, USER_UNKNOWN):
        return result(phase, code, _matches(check))
    # A password that has to be changed is right, and may be changed.
    may_change = code == SUCCESS or (phase is Phase.ACCOUNT and code == NEW_AUTHTOK_REQD)
    if check.new is None or not may_change:
        return result(phase, code)
    messages.clear()
    # Root is asked for the new password alone, twice.
    answers = [check.new] * _PROMPTS
    if os.geteuid() != 0:
        answers.insert(0, check.password)
    conversation = _conversation(answers, messages)
    handle = pamela.pam_start(check.service, check.user, conv_func=conversation)
    code = pamela.PAM_CHAUTHTOK(handle, 0)
    pamela.PAM_END(handle, code)
    return result(Phase.CHANGE, code)


def _matches(check: PamCheck) -> bool | None:
    """Tell whether the password is the one in the shadow file, so that PAM had another reason to refuse it; ``None`` if unknown.

    A hash is computed in any case, so that the time does not tell who has one.
    """
    if not _decoys.is_sampled:
        hashes = systemaccounts.passwords_in(systemaccounts.SHADOW)
        _decoys.put(decoy for hashed in hashes if (decoy := decoy_like(hashed)) is not None)
    try:
        account = systemaccounts.find_shadowed(check.user)
    except TemporaryFailure:
        account = None
    # usermod -L puts the mark before the hash.
    stored = ((account.crypt if account is not None else None) or b"").lstrip(b"!")
    verdict = verify(check.password, stored) if stored else Verdict.UNUSABLE
    if verdict is Verdict.UNUSABLE:
        if not is_computed(stored):
            verify(check.password, _decoys.draw(check.user))
        return None
    _decoys.learn(stored)
    return verdict is Verdict.MATCH


_decoys = Decoys()
"""In memory that this process shares with those that it forks."""


def _conversation(passwords: list[bytes], messages: list[tuple[int, bytes]]) -> Callable[..., int]:
    """Return a conversation function (pam_conv(3)) that answers prompts for a password, one after the other.

    :param passwords: the answers, first to last.
    :param messages: takes the modules' errors and texts, each with its style.
    """
    answers = passwords[::-1]

    def converse(count: int, asked: Any, answered: Any, _: Any) -> int:
        # PAM's modules free both the array and the answers.
        answered[0] = cast(pamela.CALLOC(count, sizeof(pamela.PamResponse)), POINTER(pamela.PamResponse))
        for number in range(count):
            message = asked[number].contents
            if message.msg_style == pamela.PAM_PROMPT_ECHO_OFF:
                if not answers:
                    return CONV_ERR
                answered.contents[number].resp = pamela.STRDUP(answers.pop())
            elif message.msg_style in (pamela.PAM_ERROR_MSG, pamela.PAM_TEXT_INFO):
                messages.append((message.msg_style, cast(message.msg, c_char_p).value or b""))
        return SUCCESS

    function: Callable[..., int] = pamela.CONV_FUNC(converse)
    return function
