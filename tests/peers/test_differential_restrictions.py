"""Restrictions in module files, however they are written: authd lets nobody in whom the real Courier keeps out."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authd.config.problem import ConfigError
from authd.modules.authsqlite import AuthSqlite
from authd.modules.base import TemporaryFailure
from tests.conftest import opened, require
from tests.support.accounts import fill_sqlite, row
from tests.support.courier import DAEMON, Courier
from tests.support.stub import surroundings
from tests.support.sysconf import changed, sqliterc, write_authdaemonrc
from tests.support.wire import exchange, login

WHERE = "SQLITE_WHERE_CLAUSE"
USERS = ("active@x", "inactive@x")
ACTIVE = "quota='1'"

LEFT_OUT = ("SQLITE_AUXOPTIONS_FIELD", "SQLITE_NAME_FIELD", "SQLITE_MAILDIR_FIELD")
"""Settings of the usual file that are not there unless a test writes them."""


class Both:
    """Courier's authsqlite and ours, made anew for each content of authsqliterc."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.etc = root / "etc"
        fill_sqlite(root / "accounts.db", [row(USERS[0], quota="1"), row(USERS[1], quota="0")])
        with closing(sqlite3.connect(root / "accounts.db")) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")
        (root / "accounts.db").chmod(0o666)
        write_authdaemonrc(self.etc, root / "unused", "authsqlite", daemons="1")
        self.rc = sqliterc(root / "accounts.db")

    def let_in(self, lines: str) -> tuple[set[str], set[str], bool]:
        """Return whom Courier lets in with `lines` in the file, whom authd does, and whether authd takes the file."""
        file = self.etc / "authsqliterc"
        content = changed(self.rc, **dict.fromkeys(LEFT_OUT)).replace("##NAME: MARKER", f"{lines}\n##NAME: MARKER")
        file.write_text(content, errors="surrogateescape", newline="")
        with Courier(self.root, self.etc) as courier:
            theirs = {user for user in USERS if exchange(courier.socket, login(user, "secret")).startswith(b"UID=")}
        try:
            module = AuthSqlite(replace(surroundings(), sysconfdir=self.etc))
        except ConfigError:
            return theirs, set(), False
        try:
            ours = {user for user in USERS if module.find(b"imap", user.encode()) is not None}
        except TemporaryFailure:
            ours = set()
        finally:
            module.close()
        return theirs, ours, True


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    require("unshare", DAEMON)
    root = opened(tmp_path_factory.mktemp("both"))
    root.chmod(0o777)
    return Both(root)


SAME = (
    # Remarks, which have no effect and seem to be meant so.
    *(
        f"; {WHERE} 0",
        f";{WHERE} 0",
        f"//{WHERE} 0",
        f"a line about {WHERE} and more",
        f"# remark \\\n{WHERE} {ACTIVE}",
    ),
    *(
        f"{WHERE} {ACTIVE}",
        f"{WHERE}\t{ACTIVE} \t",
        f"  {WHERE} {ACTIVE}",
        f"{WHERE} {ACTIVE}\r",
        f"{WHERE}\x0c{ACTIVE}",
    ),
    *(f"{WHERE} \\\n{ACTIVE}", f"{WHERE} \\ \n  {ACTIVE}", f"{WHERE} quota= \\\n'1'", f"{WHERE} {ACTIVE}\n{WHERE} 1=1"),
    *(f"{WHERE} {ACTIVE} \\\n# AND 0", f"{WHERE} \\\n# x\n{ACTIVE}", f"{WHERE} {ACTIVE}\n  OR 1=1", f"# {WHERE} 0", ""),
    *(f"x=1\\\n{WHERE} {ACTIVE}", f"SQLITE_NAME_FIELD\\\n {WHERE} {ACTIVE}", f"x\\ \r\n{WHERE} {ACTIVE}"),
    *(f"\\\n{WHERE} {ACTIVE}", f" \\\n{WHERE} {ACTIVE}", f"#\\\n{WHERE} {ACTIVE}"),
    *(f"{WHERE} {ACTIVE};", f'{WHERE} "{ACTIVE}"', f"{WHERE} ={ACTIVE}", f"{WHERE} 1=1\n{WHERE} {ACTIVE}"),
)


@pytest.mark.parametrize("lines", SAME)
def test_the_same_are_let_in(both: Both, lines: str) -> None:
    theirs, ours, taken = both.let_in(lines)
    assert ours == theirs
    assert taken


LOST = (
    *(
        WHERE,
        f"{WHERE}\t \x0b",
        f"{WHERE}\n{ACTIVE}",
        f"{WHERE}\n\t{ACTIVE}",
        f"{WHERE}\n# remark\n  {ACTIVE}",
        f"{WHERE} \\",
        f"{WHERE}\\\n{ACTIVE}",
        f"{WHERE}\\\n {ACTIVE}",
        f"{ACTIVE}\\\n {WHERE}",
    ),
    *(
        f"{WHERE}\u00a0{ACTIVE}",
        f"{WHERE}={ACTIVE}",
        f"{WHERE}: {ACTIVE}",
        f"{WHERE.lower()} {ACTIVE}",
        f'"{WHERE}" {ACTIVE}',
    ),
    *(
        f"{WHERE[:-1]} {ACTIVE}",
        f"MYSQL_WHERE_CLAUSE {ACTIVE}",
        f"SQLITE_WHERECLAUSE {ACTIVE}",
        f"\ufeff{WHERE} {ACTIVE}",
    ),
    *(
        "SQLITE_AUXOPTIONS_FIELD",
        "SQLITE_AUXOPTIONS options",
        "SQLITE_SELECT_CLAUSE\nSELECT 1 WHERE 0",
        "SQLITE_SELEC_CLAUSE x",
    ),
    *(
        "SQLITE_NAME_FIELD\nname",
        "SQLITE_MAILDIR_FIELD\n  maildir",
        f"{WHERE} \0{ACTIVE}",
    ),
    *(
        f"SQLITE_QUOTA_FIELD quota \\\n{WHERE} {ACTIVE}",
        f"DEFAULT_DOMAIN x \\\n{WHERE} {ACTIVE}",
        f"SQLITE_FOO bar \\\r\n{WHERE} {ACTIVE}",
        f"junk \\\n{WHERE} {ACTIVE}",
        f"x\r{WHERE} {ACTIVE}",
        f"export {WHERE}={ACTIVE}",
        f"\x01{WHERE} {ACTIVE}",
        f"SQLITE_WHERE {ACTIVE}",
    ),
)


@pytest.mark.parametrize("lines", LOST)
def test_no_restriction_is_lost(both: Both, lines: str) -> None:
    _, ours, _ = both.let_in(lines)
    assert ours == set()


NAMES = st.sampled_from(
    [WHERE, WHERE, WHERE.lower(), WHERE[:-1], f"{WHERE}=", f" {WHERE}", f"#{WHERE}", f"\ufeff{WHERE}", f"{WHERE}:"]
)
GAPS = st.sampled_from([" ", "\t", "", "\n", " \\\n", "\\\n ", " \\ \n", "\n\n", "\n# x\n", "\u00a0", "\r\n", "\x0c"])
PARTS = st.sampled_from([ACTIVE, "AND", "OR", "1=1", "0", "(", ")", "--", "'", "", WHERE])
CLAUSES = st.builds(
    lambda name, pieces: name + "".join(gap + part for gap, part in pieces),
    NAMES,
    st.lists(st.tuples(GAPS, PARTS), max_size=4),
)


@given(st.lists(CLAUSES, min_size=1, max_size=2).map("\n".join))
@settings(max_examples=60)
def test_nobody_is_let_in_whom_courier_keeps_out(both: Both, lines: str) -> None:
    theirs, ours, _ = both.let_in(lines)
    assert ours <= theirs
