"""What is known of a mailbox.

Every text is bytes, as it came from the back end and as it goes on the wire: authd does not guess at the
character set of a home directory.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Account:
    """One mailbox, as a module found it.

    ``None`` says that there is nothing to tell about a field, and nothing is sent; an empty value is sent.

    :param address: the login that the back end knows the account by, domain included.
    :param uid: numeric user id that owns the mail, 0 to 2**32 - 1.
    :param gid: numeric group id, 0 to 2**32 - 1.
    :param home: home directory.
    :param username: name of a system account, for modules whose accounts are system accounts.
    :param name: full name of the person.
    :param maildir: maildir, where it is not ``Maildir`` below `home`.
    :param quota: maildir quota, such as ``104857600S``.
    :param options: comma-separated ``key=value`` pairs.
    :param crypt: hashed password; a secret, left out of the repr.
    :param clear: cleartext password; a secret, left out of the repr.
    """

    address: bytes | None
    uid: int
    gid: int
    home: bytes
    username: bytes | None = None
    name: bytes | None = None
    maildir: bytes | None = None
    quota: bytes | None = None
    options: bytes | None = None
    crypt: bytes | None = field(default=None, repr=False)
    clear: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of an enumeration: an account without its secrets.  Fields as in `Account`."""

    address: bytes
    uid: int
    gid: int
    home: bytes
    maildir: bytes
    options: bytes


def merge_options(own: bytes | None, defaults: bytes) -> bytes | None:
    """Return an account's options completed by the site's defaults; the account's own win.

    :param own: the account's ``key=value,…``, kept as it is.
    :param defaults: ``DEFAULTOPTIONS`` of authdaemonrc, in the same form.
    :returns: `own` with every default appended whose key is not in it yet; `defaults` itself where the account
        has none; ``None`` where neither says anything.
    """
    if not own:
        return defaults or own
    merged = own
    keys = {option.partition(b"=")[0] for option in own.split(b",") if option}
    for option in defaults.split(b","):
        key = option.partition(b"=")[0]
        if option and key not in keys:
            merged += b"," + option
            keys.add(key)
    return merged
