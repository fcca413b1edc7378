"""authpasswd: make what is stored for a password."""

from __future__ import annotations

from collections.abc import Sequence

from authd.cli.common import FAILED, OK, command, complain, option_parser, read_new_password
from authd.passwords import SCHEMES, hash_password
from authd.passwords.hashing import DEFAULT_SCHEME


@command("authpasswd")
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = option_parser(
        "authpasswd", "Read a password, twice from the terminal or once from standard input, and print it hashed."
    )
    parser.add_argument(
        "method",
        nargs="?",
        default=DEFAULT_SCHEME,
        choices=SCHEMES,
        metavar="method",
        help=f"one of {', '.join(SCHEMES)} (default: {DEFAULT_SCHEME})",
    )
    parser.add_argument("--sysconfdir", metavar="DIR", help="as in the other commands; this one reads no configuration")
    options = parser.parse_args(arguments)
    password = read_new_password()
    if password is None:
        return FAILED
    try:
        print(hash_password(password, options.method).decode())
    except ValueError as error:
        complain(str(error))
        return FAILED
    return OK
