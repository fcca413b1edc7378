"""Measure each module beside Courier's of its name, on the same accounts in the same back end: ``make bench-modules``.

What is a right reply is what Courier says; authmysql, for which there is much more, is measured by ``make bench``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from authd.passwords.crypt3 import crypt
from tests.bench.arena import COURIER
from tests.bench.duel import Case, Duels, Score
from tests.bench.load import Exchange, Tools
from tests.bench.report import about, line_of, table
from tests.conftest import SBIN, opened
from tests.support.accounts import COLUMNS, fill_postgres, fill_sqlite, row
from tests.support.authprog import write_program
from tests.support.pair import Pair
from tests.support.pam import System
from tests.support.postgres import Postgres
from tests.support.slapd import Slapd
from tests.support.sysconf import ldaprc, pgsqlrc, sqliterc, write_authdaemonrc
from tests.support.userdb import compile_with_courier, write
from tests.support.wire import exchange, login, pre

DAEMONS = 10
CLIENTS = 32
ACCOUNTS = 1000

DOCUMENTS = Path(__file__).parents[2] / "docs" / "performance"


def _hash() -> str:
    hashed = crypt(b"secret", b"$1$abcdefgh")
    assert hashed is not None
    return hashed.decode()


HASH = _hash()
USERS = [f"user{number}" for number in range(ACCOUNTS)]


@dataclass(frozen=True, slots=True)
class BackEnd:
    """A back end with `USERS` in it, all with the password ``secret`` as md5-crypt.

    :param make: is given a directory and that of the configuration, and gives the system that both daemons see, if it is another.
    """

    module: str
    make: Callable[[Path, Path, ExitStack], System | None]


def _pgsql(root: Path, etc: Path, stack: ExitStack) -> None:
    server = stack.enter_context(Postgres(root / "server"))
    fill_postgres(server)
    with server.connect() as connection:
        connection.cursor().executemany(
            f"INSERT INTO mailbox ({', '.join(COLUMNS)}) VALUES ({', '.join(['%s'] * len(COLUMNS))})".encode(),
            [row(f"{user}@default.example", password=HASH, clearpwd="") for user in USERS],
        )
        connection.execute("ANALYZE mailbox")
    (etc / "authpgsqlrc").write_text(pgsqlrc(server.port))


def _sqlite(root: Path, etc: Path, stack: ExitStack) -> None:
    fill_sqlite(root / "a.db", [row(f"{user}@default.example", password=HASH, clearpwd="") for user in USERS])
    (root / "a.db").chmod(0o666)
    (etc / "authsqliterc").write_text(sqliterc(root / "a.db"))


def _ldap(root: Path, etc: Path, stack: ExitStack) -> None:
    server = Slapd(root / "server")
    common = {"crypt": HASH.encode(), "uidnum": b"1000", "gidnum": b"1000", "fullname": b"Some Body"}
    server.make({"login": f"{user}@default.example".encode(), "homedir": user.encode(), **common} for user in USERS)
    stack.enter_context(server)
    (etc / "authldaprc").write_text(ldaprc(server.uri))


def _userdb(root: Path, etc: Path, stack: ExitStack) -> None:
    write(etc, "".join(f"{user}\thome=/home/{user}|uid=1000|gid=1000|systempw={HASH}\n" for user in USERS))
    compile_with_courier(root, etc)


def _pipe(root: Path, etc: Path, stack: ExitStack) -> None:
    write_program(etc, [row(user) for user in USERS])


def _pam(root: Path, etc: Path, stack: ExitStack) -> System:
    system = System(root)
    for name, line in (("passwd", "{0}:x:3000:3000::/home/{0}:/bin/sh\n"), ("shadow", "{0}:{1}:19000:0:99999:7:::\n")):
        with (system.etc / name).open("a") as file:
            file.writelines(line.format(user, HASH) for user in USERS)
    return system


BACK_ENDS = [
    BackEnd("authpgsql", _pgsql),
    BackEnd("authsqlite", _sqlite),
    BackEnd("authldap", _ldap),
    BackEnd("authuserdb", _userdb),
    BackEnd("authpipe", _pipe),
    BackEnd("authpam", _pam),
]


@contextmanager
def _pair(root: Path, back_end: BackEnd) -> Iterator[Pair]:
    root.mkdir()
    etc = root / "etc"
    write_authdaemonrc(etc, root / "authd", back_end.module, daemons=str(DAEMONS))
    with ExitStack() as stack:
        system = back_end.make(root, etc, stack)
        yield stack.enter_context(Pair(root, etc, root / "authd", system))


def _cases(pair: Pair, module: str) -> Iterator[Case]:
    for name, requests in (
        ("PRE", [pre(user) for user in USERS]),
        ("login", [login(user, "secret") for user in USERS]),
    ):
        exchanges = [Exchange(request, exchange(pair.courier.socket, request)) for request in requests]
        assert all(known.reply.endswith(b"\n.\n") for known in exchanges)
        yield Case(f"{module} {name}", CLIENTS, exchanges)


def _measure(root: Path, duels: Duels, modules: list[str]) -> Iterator[Score]:
    for back_end in BACK_ENDS:
        if modules and back_end.module not in modules:
            continue
        with _pair(root / back_end.module, back_end) as pair:
            for case in _cases(pair, back_end.module):
                yield from duels.against_courier({COURIER: pair.courier.socket, "authd": pair.authd.socket}, case)


def main() -> int:
    """Run the benchmark, print and write what it came to; return 1 if a reply was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.modules", description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one run (2)")
    parser.add_argument("--pairs", type=int, default=5, help="how often each is measured in turn (5)")
    parser.add_argument("--modules", default="", help="names of modules, separated by commas (all)")
    options = parser.parse_args()
    os.environ["PATH"] = os.pathsep.join([os.environ["PATH"], *SBIN])
    modules = [name for name in options.modules.split(",") if name]
    with tempfile.TemporaryDirectory(prefix="authd-bench-") as directory, tqdm(unit="run", dynamic_ncols=True) as bar:
        root = opened(Path(directory))

        def tick(what: str) -> None:
            bar.set_description(what)
            bar.update()

        bar.reset((len(modules) or len(BACK_ENDS)) * 4 * options.pairs)
        scores = []
        for score in _measure(root, Duels(Tools(root), options.pairs, options.seconds, tick), modules):
            scores.append(score)
            bar.write(line_of(score))
    if not modules:
        machine = about("PostgreSQL 15, OpenLDAP 2.5, SQLite, GDBM")
        page = [
            "# Modules",
            "",
            "Written by `make bench-modules`: 1,000 accounts, md5-crypt, 32 clients.",
            "",
        ]
        page += [
            "| | |",
            "|---|---|",
            *(f"| {name} | {value} |" for name, value in machine.items()),
            "",
            *table(scores),
            "",
        ]
        (DOCUMENTS / "modules.md").write_text("\n".join(page))
        results = {"about": machine, "scores": [score.as_dict() for score in scores]}
        (DOCUMENTS / "modules.json").write_text(json.dumps(results, indent=1) + "\n")
    return 1 if any(score.wrong for score in scores) else 0


if __name__ == "__main__":
    sys.exit(main())
