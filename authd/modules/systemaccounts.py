"""The system's accounts, by its own libraries: /etc/passwd and /etc/shadow, and whatever else nsswitch.conf names.

What authpam, authpwd and authshadow share.
"""

from __future__ import annotations

import ctypes
import os
import pwd
from collections.abc import Iterator
from contextlib import suppress
from ctypes import c_char_p, c_int, c_long, c_size_t, c_ulong
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path

from authd.account import Account, Entry
from authd.modules.base import SAMPLE, TemporaryFailure
from authd.outcome import Reason

FIRST_UID = 100
"""Accounts below it are the system's own, and are not enumerated."""

SHADOW = Path("/etc/shadow")

DAY_SECONDS = 86_400


class _Spwd(ctypes.Structure):
    """``struct spwd``; see shadow(3)."""

    _fields_ = (
        ("sp_namp", c_char_p),
        ("sp_pwdp", c_char_p),
        ("sp_lstchg", c_long),
        ("sp_min", c_long),
        ("sp_max", c_long),
        ("sp_warn", c_long),
        ("sp_inact", c_long),
        ("sp_expire", c_long),
        ("sp_flag", c_ulong),
    )


@dataclass(frozen=True, slots=True)
class Shadow:
    """What /etc/shadow has on a user; days are counted from 1970, and -1 stands for none.

    :param changed: day of the last change of the password; 0 wants a change at the next login.
    :param valid_for: days after which a password must be changed.
    :param expires: day on which the account ends.
    """

    password: bytes = field(repr=False)
    changed: int
    valid_for: int
    expires: int

    def refusal(self, today: int) -> Reason | None:
        """Return why nobody may log in by this; ``None`` where somebody may."""
        if 0 <= self.expires <= today:
            return Reason.ACCOUNT_EXPIRED
        if self.changed == 0 or (self.changed > 0 <= self.valid_for and self.changed + self.valid_for < today):
            return Reason.PASSWORD_EXPIRED
        return None

    @property
    def locked(self) -> bool:
        """Whether the hash is one that no password fits, so that it can be unlocked again."""
        return self.password.startswith((b"!", b"*"))


@dataclass(slots=True)
class SystemAccount(Account):
    """An account of the system.

    :param shadow: what the shadow file has on it; ``None`` where it has nothing, or was not asked.
    """

    shadow: Shadow | None = field(default=None, kw_only=True)


def find_shadowed(user: bytes) -> SystemAccount | None:
    """Return the account of a system user, its hash from the shadow file where that has one; raises as `find_account`."""
    account = find_account(user)
    if account is not None:
        account.shadow = find_shadow(user)
        if account.shadow is not None:
            account.crypt = account.shadow.password
    return account


def find_account(user: bytes) -> SystemAccount | None:
    """Return the account of a system user, its hash from the password file; ``None`` if there is no such user.

    :raises TemporaryFailure: if the system can't tell.
    """
    if b"\0" in user:
        return None
    try:
        entry = pwd.getpwnam(os.fsdecode(user))
    except KeyError:
        return None
    except OSError as error:
        raise TemporaryFailure(Reason.UNREACHABLE, f"getpwnam: {error.strerror}") from None
    return SystemAccount(
        os.fsencode(entry.pw_name),
        entry.pw_uid,
        entry.pw_gid,
        os.fsencode(entry.pw_dir),
        username=os.fsencode(entry.pw_name),
        name=os.fsencode(entry.pw_gecos),
        crypt=os.fsencode(entry.pw_passwd),
        tells_uid=False,
    )


def find_shadow(user: bytes) -> Shadow | None:
    """Return what the shadow file has on a user; ``None`` if it has nothing, or this process may not read it."""
    if b"\0" in user:
        return None
    entry, found = _Spwd(), ctypes.POINTER(_Spwd)()
    buffer = ctypes.create_string_buffer(16_384)
    _getspnam()(user, ctypes.byref(entry), buffer, len(buffer), ctypes.byref(found))
    if not found:
        return None
    return Shadow(entry.sp_pwdp or b"", entry.sp_lstchg, entry.sp_max, entry.sp_expire)


@cache
def _getspnam() -> ctypes._NamedFuncPointer:
    function = ctypes.CDLL(None).getspnam_r
    function.argtypes = [c_char_p, ctypes.POINTER(_Spwd), c_char_p, c_size_t, ctypes.POINTER(ctypes.POINTER(_Spwd))]
    function.restype = c_int
    return function


def passwords_in(file: Path) -> Iterator[bytes]:
    """Yield the second fields of a file such as /etc/shadow, of its first lines; none if it can't be read."""
    with suppress(OSError), file.open("rb") as lines:
        for line in islice(lines, SAMPLE):
            yield line.partition(b":")[2].partition(b":")[0]


def entries() -> Iterator[Entry]:
    """Yield the accounts that are people's."""
    for entry in pwd.getpwall():
        if entry.pw_uid >= FIRST_UID:
            yield Entry(os.fsencode(entry.pw_name), entry.pw_uid, entry.pw_gid, os.fsencode(entry.pw_dir), b"", b"")
