"""Hints for database users that log in by a plugin which the driver lacks."""

from __future__ import annotations

import re
import struct

_MISSING = {
    "pynacl": ("client_ed25519", "PyNaCl: pip install 'authd[ed25519]'"),
    "cryptography": ("caching_sha2_password or sha256_password", "cryptography: pip install 'PyMySQL[rsa]'"),
}
"""By the package that PyMySQL misses: the plugin that needs it, and what to install."""

_UNKNOWN = re.compile(r"[Aa]uthentication (?:plugin|method) '?b?'?([\w.-]+)")


def plugin_advice(error: Exception, user: str, by_library: bool) -> str:
    """Return what to do about an error of connecting; empty if a plugin is not why.

    :param user: the database user.
    :param by_library: whether mysqlclient was used, and not PyMySQL.
    """
    said = str(error)
    if isinstance(error, RuntimeError):
        for package, (plugin, install) in _MISSING.items():
            if package in said:
                return f"database user {user} logs in by {plugin}, which needs {install}"
    if isinstance(error, (IndexError, struct.error, AssertionError)):
        # PyMySQL reads what a plugin's server says without looking whether it is there, that of PAM's among them.
        return (
            f"database user {user} logs in by a plugin that PyMySQL does not follow ({type(error).__name__}); set "
            "AUTHD_MYSQL_DRIVER to mysqlclient, or give the user another, such as mysql_native_password"
        )
    number = error.args[0] if error.args else None
    found = _UNKNOWN.search(said)
    if number not in (2059, 2061, 1251) or found is None:
        return ""
    other = (
        "install that plugin for the client library"
        if by_library
        else "set AUTHD_MYSQL_DRIVER to mysqlclient, whose library may know it"
    )
    return (
        f"database user {user} logs in by {found[1]}, which the driver does not know ({number}); {other}, "
        "or give the user another, such as mysql_native_password"
    )
