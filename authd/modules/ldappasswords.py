"""Checks a password by a bind, and changes one, on a connection to a directory server that is made for that alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ldap
from ldap.controls.ppolicy import PasswordPolicyControl
from ldap.ldapobject import LDAPObject

from authd.modules import ldapverdict
from authd.outcome import Answer, Outcome, Reason, reject, tempfail

LOST = (ldap.SERVER_DOWN, ldap.CONNECT_ERROR, ldap.UNAVAILABLE, ldap.BUSY, ldap.TIMEOUT)
"""Errors after which another connection, or another server, may do better."""

ACTIVE_DIRECTORY = frozenset({b"1.2.840.113556.1.4.800", b"1.2.840.113556.1.4.1851"})
"""Of ``supportedCapabilities``: Active Directory, as Samba's too, and its lightweight kin."""


def bind(connection: LDAPObject, dn: str, password: bytes) -> Answer:
    """Return the server's verdict on `password`; raise one of `LOST` where it is not one of that server."""
    try:
        _, _, _, controls = connection.simple_bind_s(dn, password, serverctrls=_policy_control(connection))
    except LOST:
        raise
    except ldap.LDAPError as error:
        return ldapverdict.refusal(error)
    return ldapverdict.success(controls)


def modify(connection: LDAPObject, dn: str, values: Mapping[str, bytes]) -> Answer:
    """Give attributes new values; raises as `bind`."""
    return _change(connection, dn, [(ldap.MOD_REPLACE, name, [value]) for name, value in values.items()])


def change(connection: LDAPObject, dn: str, old: bytes, new: bytes, values: Mapping[str, bytes]) -> Answer:
    """Change a password under the entry's own name, in the way that the server knows; raises as `bind`.

    :param values: of the attributes that have the password; none for the server's own operation (RFC 3062).
    """
    bound = bind(connection, dn, old)
    if bound.outcome is not Outcome.OK:
        # It was accepted a moment ago.
        return (
            bound if bound.outcome is Outcome.TEMPFAIL else tempfail(Reason.QUERY_FAILED, f"bind: {bound.describe()}")
        )
    if _is_active_directory(connection):
        return _change_in_active_directory(connection, dn, old, new)
    if values:
        return modify(connection, dn, values)
    if not new:
        # Without a new password a server makes one up (RFC 3062, 2.1), and some take an empty one for none.
        return reject(Reason.NOT_CHANGED, detail="an empty new password would have the server make one up")
    try:
        # `passwd_s` fails after the change if the answer has a name, as some servers' have.
        message = connection.passwd(dn, old, new, serverctrls=_policy_control(connection))
        connection.extop_result(message)
    except LOST:
        raise
    except ldap.LDAPError as error:
        return ldapverdict.unchanged(error, "password modify")
    return _CHANGED


_CHANGED = Answer(Outcome.OK, Reason.PASSWORD_CHANGED)


def _change(connection: LDAPObject, dn: str, changes: Sequence[Any]) -> Answer:
    try:
        connection.modify_ext_s(dn, changes, serverctrls=_policy_control(connection))
    except LOST:
        raise
    except ldap.LDAPError as error:
        return ldapverdict.unchanged(error, "modify")
    return _CHANGED


def _change_in_active_directory(connection: LDAPObject, dn: str, old: bytes, new: bytes) -> Answer:
    """Take the old value of ``unicodePwd`` away and add the new one, which a user may do with its own, over TLS."""
    if not _is_encrypted(connection):
        return reject(
            Reason.NOT_CHANGED, detail=f"Active Directory changes passwords over TLS alone; {ldapverdict.TLS_HINT}"
        )
    try:
        values = [f'"{password.decode()}"'.encode("utf-16-le") for password in (old, new)]
    except UnicodeDecodeError:
        return reject(Reason.NOT_CHANGED, detail="Active Directory takes passwords in UTF-8 alone")
    operations = (ldap.MOD_DELETE, ldap.MOD_ADD)
    changes = [(operation, "unicodePwd", [value]) for operation, value in zip(operations, values, strict=True)]
    return _change(connection, dn, changes)


def _is_active_directory(connection: LDAPObject) -> bool:
    try:
        root = connection.read_rootdse_s(attrlist=["supportedCapabilities"])
    except LOST:
        raise
    except ldap.LDAPError:
        # OpenLDAP keeps an entry whose password must be changed from all but that.
        return False
    return not ACTIVE_DIRECTORY.isdisjoint((root or {}).get("supportedCapabilities", ()))


def _is_encrypted(connection: LDAPObject) -> bool:
    uri: str = connection.get_option(ldap.OPT_URI)
    return uri.startswith("ldapi:") or connection.get_option(ldap.OPT_X_TLS_VERSION) is not None


def _policy_control(connection: LDAPObject) -> list[PasswordPolicyControl] | None:
    """Return the control that has the server say what its password policy finds; there are none in LDAPv2."""
    return [PasswordPolicyControl()] if connection.get_option(ldap.OPT_PROTOCOL_VERSION) >= ldap.VERSION3 else None
