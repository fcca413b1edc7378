"""What PAM's codes mean, by the function that gave them.

Only AUTH_ERR of pam_authenticate(3) can be a wrong password.  A code that says nothing of the user is a temporary failure.
"""

from __future__ import annotations

import os
from pathlib import Path

from authd.modules.pamstack import PAM_DIRECTORY, Stack, find_file, read_stack
from authd.modules.pamtransaction import AUTH_ERR, USER_UNKNOWN, PamResult, Phase
from authd.modules.systemaccounts import SHADOW, SystemAccount
from authd.outcome import Answer, Reason, reject, tempfail

PASSWD = Path("/etc/passwd")

AUTHINFO_UNAVAIL = 9

_REFUSALS = {
    6: Reason.ACCESS_DENIED,
    AUTH_ERR: Reason.ACCESS_DENIED,
    USER_UNKNOWN: Reason.ACCESS_DENIED,
    11: Reason.TOO_MANY_TRIES,
    12: Reason.MUST_CHANGE,
    13: Reason.ACCOUNT_EXPIRED,
    16: Reason.PASSWORD_EXPIRED,
    27: Reason.PASSWORD_EXPIRED,
}
"""Codes by which PAM refuses a user: PERM_DENIED, MAXTRIES, NEW_AUTHTOK_REQD, ACCT_EXPIRED, CRED_EXPIRED, AUTHTOK_EXPIRED."""

_REFUSED_CHANGES = frozenset({*_REFUSALS, 20, 21})
"""Codes by which PAM refuses a new password; AUTHTOK_ERR and AUTHTOK_RECOVERY_ERR are the usual ones."""

_MISCONFIGURED = frozenset({1, 2, 18, 28, 29})
"""OPEN_ERR, SYMBOL_ERR, NO_MODULE_DATA, MODULE_UNKNOWN, BAD_ITEM: a stack that can't work."""

_ABORT = 26
"""What pam_start(3) says where there is neither a file for the service nor one for ``other``."""

_CRED_INSUFFICIENT = 8

_PERM_DENIED = 6


def failure(service: bytes, user: bytes, result: PamResult, account: SystemAccount | None) -> Answer:
    """Return what a code other than SUCCESS means.

    :param account: the system's account of `user`; ``None`` if there is none.
    """
    said = result.describe()
    if result.phase is Phase.CHANGE:
        return reject(Reason.NOT_CHANGED, account, said) if result.code in _REFUSED_CHANGES else _untold(result)
    if result.phase is Phase.AUTHENTICATE:
        if result.code in (AUTH_ERR, AUTHINFO_UNAVAIL) and _is_blind_to(user):
            return tempfail(Reason.NO_RIGHT, f"{said}; this process may not read {SHADOW}: run the daemon as root")
        if result.code == USER_UNKNOWN:
            return reject(Reason.NO_SUCH_USER, account)
        if result.code == AUTH_ERR:
            return _authentication_failure(service, result, account)
    if result.code == _PERM_DENIED:
        broken = _broken_line(service, result.phase)
        if broken:
            return tempfail(Reason.MISCONFIGURED, f"{broken}, so that PAM refuses all; {said}")
    if result.code in _REFUSALS:
        return reject(_REFUSALS[result.code], account, said)
    return _untold(result)


def _broken_line(service: bytes, phase: Phase) -> str:
    """Return the line of a stack that PAM can't use, which it answers with PERM_DENIED; empty for none."""
    file = find_file(os.fsdecode(service))
    if file is None:
        return ""
    return read_stack(file, b"auth" if phase is Phase.AUTHENTICATE else b"account").broken


def _authentication_failure(service: bytes, result: PamResult, account: SystemAccount | None) -> Answer:
    """Return what AUTH_ERR of pam_authenticate(3) means, which modules return for other reasons too."""
    said = result.describe()
    if result.matches:
        locked = account is not None and account.shadow is not None and account.shadow.locked
        return reject(Reason.LOCKED if locked else Reason.ACCESS_DENIED, account, f"the password is right; {said}")
    stack, refusing = _stack_of(service)
    if refusing:
        return reject(Reason.ACCESS_DENIED, account, f"{refusing}; {said}")
    if result.matches is None and result.complained:
        # A module that says so has another reason than the password, as pam_nologin and pam_sss have.
        return reject(Reason.ACCESS_DENIED, account, said)
    if account is None:
        return reject(Reason.NO_SUCH_USER)
    if result.matches is None and stack.goes_by_shadow:
        # No password fits what is stored.
        return reject(_reason_of_no_hash(account.crypt or b""), account, said)
    return reject(Reason.WRONG_PASSWORD, account)


def _reason_of_no_hash(stored: bytes) -> Reason:
    """Return what the field for a password means where it has no hash."""
    if not stored:
        return Reason.NO_PASSWORD
    return Reason.LOCKED if stored.startswith((b"!", b"*")) else Reason.UNUSABLE_HASH


def _untold(result: PamResult) -> Answer:
    if result.code == _CRED_INSUFFICIENT:
        reason = Reason.NO_RIGHT
    elif result.code in _MISCONFIGURED or (result.phase is Phase.START and result.code == _ABORT):
        reason = Reason.MISCONFIGURED
    else:
        reason = Reason.PAM_FAILED
    return tempfail(reason, result.describe())


def _is_blind_to(user: bytes) -> bool:
    """Tell whether the password of `user` is in a shadow file that this process may not read."""
    if os.geteuid() == 0 or os.access(SHADOW, os.R_OK):
        return False
    try:
        return any(line.startswith(user + b":x:") for line in PASSWD.read_bytes().splitlines())
    except OSError:
        return True


def _stack_of(service: bytes) -> tuple[Stack, str]:
    """Return the stack that authenticates for a service, and where it says that PAM refuses all; empty where it does not.

    PAM takes ``other`` where there is no file, or no such lines in it.
    """
    name = os.fsdecode(service)
    file = find_file(name)
    own = read_stack(file) if file is not None else Stack()
    if own.modules or own.broken:
        return own, f"{file} refuses all" if own.refuses_all else ""
    other = find_file("other") or PAM_DIRECTORY / "other"
    theirs = read_stack(other)
    lacks = f"{file} authenticates nobody" if file is not None else f"{PAM_DIRECTORY / name.lower()} is not there"
    return theirs, f"{other} refuses all, and {lacks}" if theirs.refuses_all else ""
