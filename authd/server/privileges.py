"""From what opening sockets needs to what serving needs: no root, no capabilities."""

from __future__ import annotations

import ctypes
import grp
import os
import pwd
import resource
from collections.abc import Sequence
from contextlib import suppress

_CAPABILITY_VERSION_3 = 0x20080522
"""Of ``capset(2)``: two words for each of the three sets."""


_PR_SET_DUMPABLE = 4
"""Of ``prctl(2)``."""


class PrivilegeError(Exception):
    """``AUTHD_USER`` can't be had; the text has the mend."""


def become(user: str, groups: Sequence[str] = ()) -> None:
    """Become `user`, with all its groups, for good; nothing if it is empty or who this process is already.

    :param groups: names of groups besides the user's own; those that do not exist are left out.

    :raises PrivilegeError: if there is no such user, or this process may not become another.
    """
    if not user:
        return
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        raise PrivilegeError(f"AUTHD_USER: there is no user {user}; create it, or name another") from None
    if os.geteuid() == account.pw_uid:
        return
    try:
        os.initgroups(user, account.pw_gid)
        for name in groups:
            with suppress(KeyError):
                os.setgroups([*os.getgroups(), grp.getgrnam(name).gr_gid])
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
    except PermissionError:
        who = "root" if user == "root" else f"root or as {user}"
        raise PrivilegeError(f"AUTHD_USER: only root can become {user}; start the daemon as {who}") from None


def lay_down_capabilities() -> None:
    """Give up all capabilities for good, unless this is root, who was not told to be somebody else.

    A service manager may have given some to open sockets with.

    :raises OSError: if the kernel refuses.
    """
    if os.geteuid() == 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    if libc.capset(header, nothing) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def keep_memory_private() -> None:
    """Let passwords in this process's memory reach no core dump and no process of the same user.

    Children inherit both; a change of the user, and ``execve(2)``, reset what the process may be traced by.

    :raises OSError: if the kernel refuses.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
