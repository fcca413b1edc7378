"""Answers into bytes for the client.

A reply is always built whole: some clients take any reply that does not begin with ``FAIL`` for a success, whether or not
its end ever comes.
"""

from __future__ import annotations

from authd.account import Account, Entry, merge_options

FAIL = b"FAIL\n"
"""Every module rejected."""

OK = b"OK\n"
"""A password was changed."""

NOTHING = b""
"""A temporary failure: the connection closes without a word."""

END = b".\n"
"""The end of an account or of an enumeration."""


def account_reply(account: Account, default_options: bytes) -> bytes:
    """Return the lines that describe `account`.

    :param default_options: ``DEFAULTOPTIONS`` of authdaemonrc.
    """
    lines = []
    if account.username is not None:
        lines.append(b"USERNAME=" + account.username)
    lines.append(b"UID=%d" % account.uid)
    lines.append(b"GID=%d" % account.gid)
    lines.append(b"HOME=" + account.home)
    if account.address is not None:
        lines.append(b"ADDRESS=" + account.address)
    if account.name is not None:
        lines.append(b"NAME=" + account.name.partition(b",")[0])
    if account.maildir is not None:
        lines.append(b"MAILDIR=" + account.maildir)
    if account.quota is not None:
        lines.append(b"QUOTA=" + account.quota)
    if account.crypt is not None:
        lines.append(b"PASSWD=" + account.crypt)
    if account.clear is not None:
        lines.append(b"PASSWD2=" + account.clear)
    options = merge_options(account.options, default_options)
    if options:
        lines.append(b"OPTIONS=" + options)
    lines.append(END)
    return b"\n".join(lines)


def enumeration_heading(module: str) -> bytes:
    """Return the comment that precedes the accounts of `module`."""
    return b"# %b\n\n" % module.encode()


def entry_line(entry: Entry, default_options: bytes) -> bytes:
    """Return the line of one account in an enumeration."""
    options = merge_options(entry.options, default_options) or b""
    return b"%b\t%d\t%d\t%b\t%b\t%b\n" % (entry.address, entry.uid, entry.gid, entry.home, entry.maildir, options)
