"""From root to the user that the daemon is to run as."""

from __future__ import annotations

import os
import pwd


class PrivilegeError(Exception):
    """``AUTHD_USER`` can't be had; the text has the mend."""


def become(user: str) -> None:
    """Become `user`, with all its groups, for good; nothing if it is empty or who this process is already.

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
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
    except PermissionError:
        raise PrivilegeError(
            f"AUTHD_USER: only root can become {user}; start the daemon as root or as {user}"
        ) from None
