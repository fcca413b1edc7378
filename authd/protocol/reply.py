"""Answers into bytes for the client.

A reply is always built whole: some clients take any reply that does not begin with ``FAIL`` for a success, whether or not
its end ever comes.
"""

from __future__ import annotations

from authd.account import Account, Entry, merge_options
from authd.protocol.conversation import Listing

FAIL = b"FAIL\n"
"""Every module rejected."""

OK = b"OK\n"
"""A password was changed."""

NOTHING = b""
"""A temporary failure: the connection closes without a word."""

END = b".\n"
"""The end of an account or of an enumeration."""


def account_reply(account: Account, default_options: bytes, passwords: bool = True) -> bytes:
    """Return the lines that describe `account`.

    :param default_options: ``DEFAULTOPTIONS`` of authdaemonrc.
    :param passwords: whether PASSWD and PASSWD2 are told.
    """
    name = account.name if account.name is None else account.name.partition(b",")[0]
    fields: tuple[tuple[bytes, bytes | None], ...] = (
        (b"USERNAME", account.username),
        (b"UID", b"%d" % account.uid if account.tells_uid else None),
        (b"GID", b"%d" % account.gid),
        (b"HOME", account.home),
        (b"ADDRESS", account.address),
        (b"NAME", name),
        (b"MAILDIR", account.maildir),
        (b"QUOTA", account.quota),
        (b"PASSWD", account.crypt if passwords else None),
        (b"PASSWD2", account.clear if passwords else None),
        (b"OPTIONS", merge_options(account.options, default_options) or None),
    )
    lines = [b"%b=%b\n" % (key, text_of(value)) for key, value in fields if value is not None]
    return b"".join(lines) + END


def enumeration_reply(listing: Listing, default_options: bytes) -> bytes:
    """Return the lines of all accounts; without the last line, `END`, the list says that it is not all there is."""
    reply = bytearray()
    for module, entries in listing.blocks():
        reply += enumeration_heading(module)
        for entry in entries:
            reply += entry_line(entry, default_options)
    return bytes(reply + END) if listing.complete else bytes(reply)


def enumeration_heading(module: str) -> bytes:
    """Return the comment that precedes the accounts of `module`."""
    return b"# %b\n\n" % module.encode()


def entry_line(entry: Entry, default_options: bytes) -> bytes:
    """Return the line of one account in an enumeration."""
    options = merge_options(entry.options, default_options) or b""
    address, home, maildir, options = map(text_of, (entry.address, entry.home, entry.maildir, options))
    return b"%b\t%d\t%d\t%b\t%b\t%b\n" % (address, entry.uid, entry.gid, home, maildir, options)


def text_of(value: bytes) -> bytes:
    """Return `value` up to its first NUL: what a client that reads lines as C strings would see of it."""
    return value.partition(b"\0")[0]
