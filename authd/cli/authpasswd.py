"""authpasswd: make what is stored for a password."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from authd.cli.common import FAILED, OK, USAGE, complain, read_password
from authd.passwords import SCHEMES, hash_password
from authd.passwords.hashing import DEFAULT_SCHEME

HELP = f"""Usage: authpasswd [method]

Read a password, twice from the terminal or once from standard input, and print it hashed.

Methods: {", ".join(SCHEMES)}
The default is {DEFAULT_SCHEME}.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words in (["--help"], ["-h"]):
        print(HELP, end="")
        return OK
    scheme = words[0] if words else DEFAULT_SCHEME
    if len(words) > 1 or scheme not in SCHEMES:
        complain(HELP.rstrip())
        return USAGE
    password = read_password("Password: ")
    if sys.stdin.isatty() and read_password("Reenter password: ") != password:
        complain("Passwords don't match.")
        return FAILED
    if not password:
        complain("The password is empty, and no client could send it.")
        return FAILED
    try:
        print(hash_password(password, scheme).decode())
    except ValueError as error:
        complain(str(error))
        return FAILED
    return OK
