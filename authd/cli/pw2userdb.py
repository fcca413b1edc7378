"""pw2userdb: print the system's accounts as records of a userdb."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from authd.cli.common import FAILED, OK, command, complain, option_parser
from authd.config.hints import reason
from authd.userdb.record import Fields, format_fields


@command("pw2userdb")
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = option_parser("pw2userdb", "Print the accounts of /etc/passwd and /etc/shadow as records of a userdb.")
    parser.add_argument("--sysconfdir", metavar="DIR", help="as in the other commands; this one reads no configuration")
    parser.add_argument("--passwd", metavar="FILE", default="/etc/passwd")
    parser.add_argument("--shadow", metavar="FILE", default="/etc/shadow")
    parser.add_argument("--noshadow", action="store_true", help="look for passwords in the first file alone")
    parser.add_argument("--nouid", action="store_true", help="leave out the records that lead from a uid to a name")
    parser.add_argument("--domain", metavar="DOMAIN", default="", help="append @DOMAIN to each name")
    options = parser.parse_args(arguments)
    try:
        accounts = _fields(Path(options.passwd), 7)
        hashes = {} if options.noshadow else _hashes(Path(options.shadow))
    except OSError as error:
        hint = "; run it as root, or give --noshadow" if isinstance(error, PermissionError) else ""
        complain(f"pw2userdb: {error.filename}: {reason(error)}{hint}")
        return FAILED
    domain = f"@{options.domain}".encode() if options.domain else b""
    for name, password, uid, gid, gecos, home, shell in accounts:
        secret = hashes.get(name, password if password != b"x" else b"")
        fields: Fields = {b"uid": uid, b"gid": gid, b"home": home}
        # A bar would end the field.
        more = {b"shell": shell, b"systempw": secret, b"gecos": gecos.replace(b"|", b".")}
        fields.update({field: value for field, value in more.items() if value})
        _print(b"%b\t%b" % (name + domain, format_fields(fields)))
        if not options.nouid:
            _print(b"%b=\t%b" % (uid, name))
    return OK


def _fields(file: Path, wanted: int) -> list[list[bytes]]:
    lines = [line.split(b":") for line in file.read_bytes().split(b"\n") if line and not line.startswith(b"#")]
    return [(line + [b""] * wanted)[:wanted] for line in lines]


def _hashes(shadow: Path) -> dict[bytes, bytes]:
    return {line[0]: line[1] for line in _fields(shadow, 2)} if shadow.exists() else {}


def _print(line: bytes) -> None:
    sys.stdout.buffer.write(line + b"\n")
