"""Answers into bytes for the client.

A reply is always built whole: some clients take any reply that does not begin with ``FAIL`` for a success, whether or not
its end ever comes.
"""

from __future__ import annotations

from authd.account import (
    Account,
    Entry,
    cut_account,
    cut_entry,
    merge_options,
    until_end,
    until_listed_end,
)
from authd.protocol.conversation import Listing

FAIL = b"FAIL\n"
"""Every module rejected."""

OK = b"OK\n"
"""A password was changed."""

NOTHING = b""
"""A temporary failure: the connection closes without a word."""

END = b".\n"
"""The end of an account or of an enumeration."""

ENTRY_TABS = 5
"""Tabs in a line of an enumeration."""


def account_reply(account: Account, default_options: bytes, passwords: bool = True) -> bytes:
    """Return the lines that describe `account`.

    :param default_options: ``DEFAULTOPTIONS`` of authdaemonrc.
    :param passwords: whether PASSWD and PASSWD2 are told.
    """
    lines = _lines(account, default_options, passwords)
    reply = b"".join(lines) + END
    if reply.count(b"\n") == len(lines) + 1 and b"\0" not in reply:
        return reply
    # The responder has cut the account's values already; this is the second line of defence.
    whole, _ = cut_account(account, clear_is_given=False)
    return b"".join(_lines(whole, until_end(default_options), passwords)) + END


def _lines(account: Account, default_options: bytes, passwords: bool) -> list[bytes]:
    # Every lookup comes here; a loop over the fields takes twice as long.
    lines = [b"GID=%d\n" % account.gid, b"HOME=%b\n" % account.home]
    if account.tells_uid:
        lines.insert(0, b"UID=%d\n" % account.uid)
    if account.username is not None:
        lines.insert(0, b"USERNAME=%b\n" % account.username)
    if account.address is not None:
        lines.append(b"ADDRESS=%b\n" % account.address)
    if account.name is not None:
        lines.append(b"NAME=%b\n" % account.name.partition(b",")[0])
    if account.maildir is not None:
        lines.append(b"MAILDIR=%b\n" % account.maildir)
    if account.quota is not None:
        lines.append(b"QUOTA=%b\n" % account.quota)
    if passwords and account.crypt is not None:
        lines.append(b"PASSWD=%b\n" % account.crypt)
    if passwords and account.clear is not None:
        lines.append(b"PASSWD2=%b\n" % account.clear)
    if options := merge_options(account.options, default_options):
        lines.append(b"OPTIONS=%b\n" % options)
    return lines


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
    return b"# %b\n\n" % until_listed_end(module.encode())


def entry_line(entry: Entry, default_options: bytes) -> bytes:
    """Return the line of one account in an enumeration."""
    line = _entry_line(entry, default_options)
    if line.count(b"\t") == ENTRY_TABS and line.count(b"\n") == 1 and b"\0" not in line:
        return line
    whole, _ = cut_entry(entry)
    return _entry_line(whole, until_listed_end(default_options))


def _entry_line(entry: Entry, default_options: bytes) -> bytes:
    options = merge_options(entry.options, default_options) or b""
    return b"%b\t%d\t%d\t%b\t%b\t%b\n" % (entry.address, entry.uid, entry.gid, entry.home, entry.maildir, options)
