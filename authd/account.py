"""What is known of a mailbox.

Every text is bytes, as it came from the back end and as it goes on the wire: authd does not guess at the
character set of a home directory.
"""

from __future__ import annotations

import re
from copy import copy
from dataclasses import dataclass, field, replace

from authd.numbers import atoi
from authd.services import names_in_options


@dataclass(slots=True)
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
    :param tells_uid: whether clients are told `uid`; system accounts are told by `username` alone, as Courier does.
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
    tells_uid: bool = True

    def with_clear(self, password: bytes | None) -> Account:
        """Return the account with `password` for its cleartext password, and without what a module knows of it besides."""
        return Account(
            self.address,
            self.uid,
            self.gid,
            self.home,
            self.username,
            self.name,
            self.maildir,
            self.quota,
            self.options,
            self.crypt,
            password,
            self.tells_uid,
        )

    @property
    def maildir_path(self) -> bytes:
        """The maildir as an absolute path: `maildir`, from `home` on where it is relative, or ``Maildir`` in `home`."""
        maildir = self.maildir or b"Maildir"
        return maildir if maildir.startswith(b"/") else b"%b/%b" % (self.home, maildir)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of an enumeration: an account without its secrets.  Fields as in `Account`."""

    address: bytes
    uid: int
    gid: int
    home: bytes
    maildir: bytes
    options: bytes


_END = re.compile(rb"[\0\n]").search
_LISTED_END = re.compile(rb"[\0\n\t]").search
"""The end of a value on the wire, and in an enumeration, whose fields are separated by tabs."""


def until_end(value: bytes) -> bytes:
    """Return `value` up to its first NUL or line feed, where it ends for every client that reads lines."""
    end = _END(value)
    return value if end is None else value[: end.start()]


def until_listed_end(value: bytes) -> bytes:
    """Return `value` up to its first NUL, line feed or tab, where it ends in an enumeration."""
    end = _LISTED_END(value)
    return value if end is None else value[: end.start()]


_TEXTS = {
    "USERNAME": "username",
    "HOME": "home",
    "ADDRESS": "address",
    "NAME": "name",
    "MAILDIR": "maildir",
    "QUOTA": "quota",
    "PASSWD": "crypt",
    "PASSWD2": "clear",
    "OPTIONS": "options",
}
"""The fields of a reply that are texts, and the attributes that they come from."""


def cut_account(account: Account, clear_is_given: bool) -> tuple[Account, list[str]]:
    """Return `account` with every value cut at its first NUL or line feed, and the names of the fields that were cut.

    :param clear_is_given: whether the cleartext password is what a client gave, which is not cut.
    """
    joined = b"".join(
        (
            account.username or b"",
            account.home,
            account.address or b"",
            account.name or b"",
            account.maildir or b"",
            account.quota or b"",
            account.options or b"",
            account.crypt or b"",
            (not clear_is_given and account.clear) or b"",
        )
    )
    # A translation costs half of two scans.
    if len(joined.translate(None, b"\0\n")) == len(joined):
        return account, []
    whole, fields = copy(account), []
    for field_name, attribute in _TEXTS.items():
        value: bytes = getattr(account, attribute) or b""
        if _END(value) is not None and not (clear_is_given and attribute == "clear"):
            setattr(whole, attribute, until_end(value))
            fields.append(field_name)
    return whole, fields


def cut_entry(entry: Entry) -> tuple[Entry, list[str]]:
    """Return `entry` with every value cut at its first NUL, line feed or tab, and the names of the fields that were cut."""
    if _LISTED_END(b"".join((entry.address, entry.home, entry.maildir, entry.options))) is None:
        return entry, []
    address, home, maildir, options = map(until_listed_end, (entry.address, entry.home, entry.maildir, entry.options))
    whole = replace(entry, address=address, home=home, maildir=maildir, options=options)
    fields = ("address", "home", "maildir", "options")
    return whole, [name.upper() for name in fields if getattr(whole, name) != getattr(entry, name)]


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


def disables(options: bytes | None, service: bytes, secured: bool) -> bool:
    """Tell whether an account's options keep it out of a service.

    :param options: the account's, completed by the site's; ``disableimap=1`` keeps it out of ``imap`` and of all that is another
        name for it in `SERVICES`, ``disableinsecureimap=1`` where the connection is not encrypted.  A service that is not in that
        table has options of its own name.
    :param service: what the user logs in to.
    :param secured: whether the connection to it is encrypted.
    """
    if not options:
        return False
    names = names_in_options(service)
    keys = {b"disable" + name for name in names}
    if not secured:
        keys.update(b"disableinsecure" + name for name in names)
    for option in options.split(b","):
        key, _, value = option.partition(b"=")
        if key in keys and atoi(value) != 0:
            return True
    return False
