"""userdbpw: make what a password field of a userdb has."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from authd.cli.common import FAILED, OK, complain, read_new_password
from authd.passwords import hash_password
from authd.passwords.hashing import DEFAULT_SCHEME
from authd.passwords.hmacstate import DIGESTS, HmacUnavailable, hmac_state


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="userdbpw",
        description="Read a password, twice from the terminal or once from standard input, and print what a userdb has for it.",
        epilog="For example: userdbpw | userdb users/john set systempw",
        allow_abbrev=False,
    )
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
