"""What is known of a mailbox.

Every text is bytes, as it came from the back end and as it goes on the wire: authd does not guess at the
character set of a home directory.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from authd.numbers import atoi


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

    :param options: the account's, completed by the site's; ``disableimap=1`` keeps it out of ``imap``, ``disablepop3=1`` out of
        ``pop3``, ``disableinsecureimap=1`` and ``disableinsecurepop3=1`` where the connection is not encrypted.
    :param service: what the user logs in to.
    :param secured: whether the connection to it is encrypted.
    """
    keys = {b"disable" + service}
    if not secured:
        keys.add(b"disableinsecure" + service)
    for option in (options or b"").split(b","):
        key, _, value = option.partition(b"=")
        if key in keys and atoi(value) != 0:
            return True
    return False
