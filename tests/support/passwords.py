"""Every password that a test uses, and the search for them in every log that it makes.

A password is looked for where it stands alone, as a value would: ``user=…@secret.example`` is no password.  Short ones and plain
words are left out unless an account of tests/support has them, since the log may have such a word of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from authd.server.log import printable

MIN_LENGTH = 5

PLAIN_WORD = re.compile(r"[a-z]{1,12}|[0-9]+|\$\(\w+\)")
"""What the log itself may have: ``wrong``, ``second``, a process id, the variable of a clause."""

STANDING = ("secret", "extmail", "admin secret", "bind secret", "p" * 255)
"""The passwords of the accounts, databases and directories in tests/support."""

DEBUG_WITH_PASSWORDS = re.compile(r"^\s*DEBUG_LOGIN=[\"']?[2-9]", re.MULTILINE)
"""The setting that has the daemon log passwords."""

_used: dict[str, None] = {}
_at_first: dict[str, None] = {}


def use(*passwords: str | bytes) -> None:
    """Have `passwords` looked for in all logs of this module's tests."""
    for password in passwords:
        text = password.decode("utf-8", "surrogateescape") if isinstance(password, bytes) else password
        if len(text) >= MIN_LENGTH and (text in STANDING or not PLAIN_WORD.fullmatch(text)):
            _used[text] = None


def forget() -> None:
    """Look for those alone that were in use when this was first called, which is when all tests have been read."""
    if not _at_first:
        _at_first.update(_used)
    _used.clear()
    _used.update(_at_first)


def found_in(log: str, passwords: Iterable[str] | None = None) -> list[str]:
    """Return the lines of `log` that have one of `passwords`, those used if none are given."""
    lines = []
    for password in _used if passwords is None else passwords:
        for form in {password, printable(password)}:
            if form in log:
                # Behind a slash, an at-sign or a letter it is part of a path or a name; so it is before one.
                alone = re.compile(rf"(?<![\w@/.-]){re.escape(form)}(?![\w@/-]|\.\w)")
                lines += [
                    f"{password!r} in {line}"
                    for line in log.split("\n")
                    if alone.search(line) and not _is_allowed(line, form)
                ]
    return lines


def _is_allowed(line: str, form: str) -> bool:
    """Tell whether `form` is in a field that has the name which the client gave, or one of the configuration's."""
    without = re.sub(
        r"""(user|username|service|module|ip|listener)="(?:[^"\\]|\\.)*"|for user ('[^']*'@'[^']*'|"[^"]*")""", "", line
    )
    return form not in without


def assert_none_in(log: str, where: str) -> None:
    """Fail if a password is in a log.

    :param where: the log, for the message.
    """
    lines = found_in(log)
    assert not lines, f"a password is in {where}:\n" + "\n".join(lines[:5])


use(*STANDING)
