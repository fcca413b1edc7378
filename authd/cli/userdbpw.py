"""userdbpw: make what a password field of a userdb has."""

from __future__ import annotations

from collections.abc import Sequence

from authd.cli.common import FAILED, OK, command, complain, option_parser, read_new_password
from authd.passwords import hash_password
from authd.passwords.hashing import DEFAULT_SCHEME
from authd.passwords.hmacstate import DIGESTS, HmacUnavailable, hmac_state


@command("userdbpw")
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = option_parser(
        "userdbpw",
        "Read a password, twice from the terminal or once from standard input, and print what a userdb has for it.",
        "For example: userdbpw | userdb users/john set systempw",
    )
    parser.add_argument("--sysconfdir", metavar="DIR", help="as in the other commands; this one reads no configuration")
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("-md5", action="store_const", dest="form", const="md5-crypt", help="an md5-crypt hash")
    for digest in DIGESTS:
        forms.add_argument(
            f"-hmac-{digest}", action="store_const", dest="form", const=digest, help=f"for CRAM-{digest.upper()}"
        )
    parser.set_defaults(form=DEFAULT_SCHEME)
    form = parser.parse_args(arguments).form
    password = read_new_password()
    if password is None:
        return FAILED
    try:
        print(hmac_state(password, form) if form in DIGESTS else hash_password(password, form).decode())
    except (ValueError, HmacUnavailable) as error:
        complain(f"userdbpw: {error}")
        return FAILED
    return OK
