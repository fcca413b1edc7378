"""``authd check`` of an SQLite file: it, and what SQLite puts beside it, stay as they are; names are told."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from pathlib import Path

import pytest

from tests.support.daemon import Authd, run_command
from tests.support.sysconf import changed


def check(site: Authd, **settings: str | None) -> tuple[int, list[str]]:
    site.run.mkdir(mode=0o755, exist_ok=True)
    rc = site.etc / "authsqliterc"
    rc.write_text(changed(rc.read_text(), **settings))
    code, said, complaints = run_command("authd", "check", "--sysconfdir", str(site.etc))
    assert complaints == ""
    # These tests are not about directories and files that others can enter and read.
    return code, [line for line in said.splitlines() if "every user can " not in line]


def state(database: Path) -> dict[str, tuple[str, int]]:
    """Return digest and time of change of the database and of all that is beside it."""
    return {
        file.name: (hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_mtime_ns)
        for file in database.parent.glob(f"{database.name}*")
    }


@pytest.fixture
def database(site: Authd) -> Path:
    return site.etc.parent / "accounts.db"


WRITING: dict[str, dict[str, str | None]] = {
    "default": {},
    "login that is an or": {"SQLITE_LOGIN_FIELD": "1=1 or username"},
    "change of all rows": {"SQLITE_CHPASS_CLAUSE": "UPDATE mailbox SET clearpwd='$(newpass)'"},
    "change deletes": {"SQLITE_CHPASS_CLAUSE": "DELETE FROM mailbox"},
    "change is a pragma": {"SQLITE_CHPASS_CLAUSE": "PRAGMA user_version = 7"},
    "change drops": {"SQLITE_CHPASS_CLAUSE": "DROP TABLE mailbox"},
    "select updates": {"SQLITE_SELECT_CLAUSE": "UPDATE mailbox SET clearpwd='x' RETURNING username,1,2,3,4,5"},
    "enumerate changes the log": {"SQLITE_ENUMERATE_CLAUSE": "PRAGMA journal_mode = WAL"},
    "enumerate makes a file": {"SQLITE_ENUMERATE_CLAUSE": "ATTACH '{directory}/accounts.db.made' AS made"},
    "enumerate copies": {"SQLITE_ENUMERATE_CLAUSE": "VACUUM INTO '{directory}/accounts.db.made'"},
}


@pytest.mark.parametrize("settings", WRITING.values(), ids=WRITING)
def test_the_file_stays(site: Authd, database: Path, settings: dict[str, str]) -> None:
    before = state(database)
    _, said = check(site, **{name: value.format(directory=database.parent) for name, value in settings.items()})
    assert state(database) == before
    assert said


def test_a_database_with_a_log_stays(site: Authd, database: Path) -> None:
    """Reading one makes SQLite put two files beside it, or takes what is in them into the database."""
    writer = sqlite3.connect(database)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("UPDATE mailbox SET name = 'x'")
    writer.commit()
    with_log = state(database)
    assert len(with_log) == 3
    assert check(site)[0] == 0
    assert state(database) == with_log
    writer.close()
    without = state(database)
    assert len(without) == 1
    assert check(site)[0] == 0
    assert state(database) == without


def test_a_log_that_nobody_has_open_stays(site: Authd, database: Path) -> None:
    writer = sqlite3.connect(database)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("UPDATE mailbox SET name = 'x'")
    writer.commit()
    left = {file: file.read_bytes() for file in database.parent.glob(f"{database.name}*")}
    writer.close()
    for file, content in left.items():
        file.write_bytes(content)
    before = state(database)
    assert check(site)[0] == 0
    assert state(database) == before
    (database.parent / f"{database.name}-shm").unlink()
    before = state(database)
    assert check(site)[0] == 0
    assert state(database) == before


def test_a_change_that_a_crash_left_undone_stays(site: Authd, database: Path) -> None:
    """A journal that nobody holds is rolled back by the next one who writes, which ``check`` is not."""
    writer = sqlite3.connect(database, isolation_level=None)
    writer.execute("PRAGMA cache_size = 1")
    writer.execute("BEGIN")
    writer.execute("UPDATE mailbox SET name = 'half-done'")
    journal = database.with_name(f"{database.name}-journal")
    half = database.read_bytes(), journal.read_bytes()
    writer.execute("ROLLBACK")
    writer.close()
    database.write_bytes(half[0])
    journal.write_bytes(half[1])
    before = state(database)
    assert len(before) == 2
    assert check(site)[0] == 0
    assert state(database) == before


def test_a_view_is_a_remark(site: Authd, database: Path) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE VIEW seen AS SELECT * FROM mailbox")
    connection.close()
    code, said = check(site, SQLITE_USER_TABLE="seen")
    assert code == 0
    assert "SQLITE_USER_TABLE: passwords can't be changed: cannot modify seen because it is a view" in said[0]
    assert said[0].startswith("remark: ")


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_a_file_of_another_user_is_a_remark(site: Authd, database: Path) -> None:
    rc = site.etc / "authdaemonrc"
    rc.write_text(rc.read_text() + 'AUTHD_USER="nobody"\n')
    code, said = check(site)
    assert code == 0, said
    assert f"passwords can't be changed: {database} can't be written to" in said[0]


@pytest.mark.parametrize(
    ("settings", "setting", "words"),
    [
        ({"SQLITE_QUOTA_FIELD": "quotta"}, "SQLITE_QUOTA_FIELD", "no such column: quotta; did you mean quota?"),
        ({"SQLITE_WHERE_CLAUSE": "actve = 1"}, "SQLITE_WHERE_CLAUSE", "no such column: actve"),
        ({"SQLITE_DEFAULTDELIVERY": "mailbox.nosuch"}, "SQLITE_DEFAULTDELIVERY", "no such column: mailbox.nosuch"),
        ({"SQLITE_HOME_FIELD": None}, "SQLITE_HOME_FIELD", "no such column: home; did you mean homedir?"),
        ({"SQLITE_USER_TABLE": "mailbx"}, "SQLITE_USER_TABLE", "no such table: mailbx; did you mean mailbox?"),
        (
            {"SQLITE_CHPASS_CLAUSE": "UPDATE mailbox SET pasword='$(newpass)'"},
            "SQLITE_CHPASS_CLAUSE",
            "no such column: pasword; did you mean password?",
        ),
        ({"SQLITE_NAME_FIELD": "nosuch(name)"}, "SQLITE_NAME_FIELD", "no such function: nosuch"),
    ],
)
def test_names(site: Authd, settings: dict[str, str | None], setting: str, words: str) -> None:
    code, said = check(site, **settings)
    assert code == 1
    lines = (site.etc / "authsqliterc").read_text().splitlines()
    number = next((f":{number}" for number, line in enumerate(lines, 1) if line.split()[0] == setting), "")
    start = f"error: {site.etc}/authsqliterc{number}: {setting}: "
    assert any(line.startswith(start) and words in line for line in said), said


def test_a_fifo_is_not_waited_for(site: Authd, database: Path) -> None:
    database.unlink()
    os.mkfifo(database)
    code, said = check(site)
    assert code == 1
    assert f"{database} is no regular file; name one in SQLITE_DATABASE" in said[0]
    explained = run_command("authtest", "--sysconfdir", str(site.etc), "--explain", "user@example.org", "x")
    assert "authsqlite: tempfail: database unreachable" in explained[1]
