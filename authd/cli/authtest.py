"""authtest: ask the daemon for an account, try a password, or change it.

Output and exit status are those of Courier's command of this name.
"""

from __future__ import annotations

import errno
import getopt
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from authd.account import Account
from authd.cli.common import (
    FAILED,
    OK,
    command,
    complain,
    configuration,
    read_password,
    socket_path,
    unreachable,
    version,
)
from authd.cli.terminal import for_output
from authd.client import ask
from authd.config.hints import reason
from authd.config.problem import ConfigError
from authd.protocol.client import ReplyError, decode_account, encode_login, encode_lookup, encode_passwd
from authd.protocol.reply import OK as CHANGED

USAGE = "Usage: authtest [-s service] userid [ password [ newpassword ] ]"

HELP = f"""{USAGE}

Without a password, show the account; with one, try it; with two, change it from the first to the second.
Options stand before the userid.

  -s SERVICE         the service to ask for (login)
  --socket PATH      socket of the daemon, in place of the one in authdaemonrc
  --sysconfdir DIR   directory of authdaemonrc
  --explain          ask the modules without the daemon, and tell what each said
  --password-stdin   read the password, and after it the new one if two are wanted (give "-"), from standard input, a line each
  --help             show this
  --version          show the version
"""

LONG_OPTIONS = ("socket=", "sysconfdir=", "explain", "password-stdin", "help", "version")
MAX_WORDS = 3

DEFAULT_SERVICE = b"login"
NONE = b"(none)"


NO_ANSWER = "the daemon closed without an answer, which is a temporary failure; its log says why, and so does authtest --explain"


class Failure(Exception):
    """A request that did not end well; the text is what Courier's command says, in the words of errno.

    :ivar hint: a line of our own for standard error; empty for none.
    """

    def __init__(self, code: int, hint: str = "") -> None:
        super().__init__(os.strerror(code))
        self.hint = hint


@command("authtest")
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    try:
        options, words = getopt.getopt(list(sys.argv[1:] if arguments is None else arguments), "s:", LONG_OPTIONS)
    except getopt.GetoptError:
        complain(USAGE)
        return FAILED
    values = dict(options)
    if "--help" in values:
        print(HELP, end="")
        return OK
    if "--version" in values:
        print(version("authtest"))
        return OK
    if not 1 <= len(words) <= MAX_WORDS:
        # A fourth word is the rest of a password with a blank; to change it to the first half would be wrong.
        complain(USAGE)
        return FAILED
    service = os.fsencode(values.get("-s", DEFAULT_SERVICE.decode()))
    user, *passwords = map(os.fsencode, words)
    if "--password-stdin" in values:
        # A word on the command line says no more than how many are wanted.
        passwords = [read_password("", stdin=True) for _ in range(max(1, len(passwords)))]
    if passwords[1:] == [b""]:
        complain("authtest: the new password is empty, and no client could send it; nothing was changed")
        return FAILED
    try:
        if "--explain" in values:
            return _explain(configuration(values.get("--sysconfdir")), service, user, passwords)
        path = socket_path(values.get("--socket"), values.get("--sysconfdir"))
        return _run(path, service, user, passwords, sys.stdout.buffer)
    except ConfigError as error:
        complain(str(error))
        return FAILED


def _explain(file: Path, service: bytes, user: bytes, passwords: Sequence[bytes]) -> int:
    # Imported here: what only talks to the daemon need not load the modules and their database drivers.
    from authd.cli.explain import explain  # noqa: PLC0415
    from authd.modules.registry import UnknownModules  # noqa: PLC0415

    try:
        return explain(file, service, user, passwords)
    except UnknownModules as error:
        complain(str(error))
        return FAILED


def _run(path: Path, service: bytes, user: bytes, passwords: Sequence[bytes], output: BinaryIO) -> int:
    try:
        if len(passwords) == 2:
            _change(path, service, user, passwords[0], passwords[1])
            complain("Password change succeeded.")
            return OK
        account = _account(path, service, user, passwords)
    except Failure as failure:
        complain(f"Authentication FAILED: {failure}")
        if failure.hint:
            complain(f"authtest: {failure.hint}")
        for option in _behind_userid(passwords):
            complain(f"authtest: {option} behind the userid was taken for a password; write options before the userid")
        return FAILED
    _show(account, output)
    output.flush()
    return OK


def _behind_userid(passwords: Sequence[bytes]) -> list[str]:
    """Return the options that stand where passwords do; never a value."""
    options = {f"--{name.rstrip('=')}" for name in LONG_OPTIONS}
    return [name for word in passwords if (name := os.fsdecode(word).partition("=")[0]) in options]


def _account(path: Path, service: bytes, user: bytes, passwords: Sequence[bytes]) -> Account:
    try:
        request = encode_login(service, user, passwords[0]) if passwords else encode_lookup(service, user)
    except ValueError:
        raise Failure(errno.EINVAL) from None
    try:
        account = decode_account(_ask(path, request))
    except ReplyError:
        raise Failure(errno.EIO, NO_ANSWER) from None
    if account is None:
        raise Failure(errno.EPERM)
    return account


def _change(path: Path, service: bytes, user: bytes, old: bytes, new: bytes) -> None:
    try:
        request = encode_passwd(service, user, old, new)
    except ValueError:
        raise Failure(errno.EINVAL) from None
    if _ask(path, request) != CHANGED:
        raise Failure(errno.EPERM)


def _ask(path: Path, request: bytes) -> bytes:
    try:
        return ask(path, request)
    except TimeoutError as error:
        raise Failure(errno.ETIMEDOUT, unreachable(path, error)) from None
    except (BrokenPipeError, ConnectionResetError):
        raise Failure(errno.EIO, NO_ANSWER) from None
    except OSError as error:
        complain(f"ERR: authdaemon: s_connect() failed: {reason(error)}")
        raise Failure(errno.EINVAL, unreachable(path, error)) from None


def _show(account: Account, output: BinaryIO) -> None:
    shown = b"""Authentication succeeded.

     Authenticated: %b  (%b)
    Home Directory: %b
           Maildir: %b
             Quota: %b
Encrypted Password: %b
Cleartext Password: %b
           Options: %b
""" % (
        _or_none(account.address),
        _owner(account),
        account.home,
        _or_none(account.maildir),
        _or_none(account.quota),
        _or_none(account.crypt),
        _or_none(account.clear),
        _or_none(account.options),
    )
    output.write(for_output(shown, output))


def _owner(account: Account) -> bytes:
    """Return whose account it is: a system account's name alone, since its uid is not told."""
    if account.username is not None:
        return b"system username: %b" % account.username
    if account.tells_uid:
        return b"uid %d, gid %d" % (account.uid, account.gid)
    return b"*** UID/GID initialization error***"


def _or_none(value: bytes | None) -> bytes:
    return NONE if value is None else value
