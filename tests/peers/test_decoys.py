"""The first login after a start costs the same for an unknown user: real servers are asked for a sample of their hashes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from authd import together
from authd.modules.base import Module
from authd.modules.registry import CLASSES
from authd.outcome import Reason
from authd.passwords import Verdict, form_of, verify
from authd.passwords.crypt3 import crypt, gensalt
from authd.together import settle_one
from tests.conftest import require
from tests.support.accounts import COLUMNS, fill, fill_postgres, fill_sqlite, row
from tests.support.mariadb import MariaDB
from tests.support.postgres import Postgres
from tests.support.slapd import Slapd
from tests.support.stub import surroundings
from tests.support.sysconf import ldaprc, mysqlrc, pgsqlrc, sqliterc

HASHED = crypt(b"secret", gensalt(b"$2b$", 4)) or b""
USERS = [f"user{number}@default.example" for number in range(20)]
ROWS = [row(user, password=HASHED.decode(), clearpwd="") for user in USERS]
OLD = crypt(b"secret", b"$1$abcdefgh") or b""
LARGE = [row(f"u{n}", password=(OLD if n < 9000 else HASHED).decode(), clearpwd="") for n in range(12_000)]
INSERT = f"INSERT INTO mailbox ({', '.join(COLUMNS)}) VALUES ({', '.join(['%s'] * len(COLUMNS))})"


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The forms of the hashes that passwords were checked against."""
    forms: list[bytes] = []

    def spy(password: bytes, stored: bytes) -> Verdict:
        forms.append(form_of(stored))
        return verify(password, stored)

    monkeypatch.setattr(together, "verify", spy)
    return forms


def _module(name: str, etc: Path) -> Module:
    made: Module = getattr(import_module(f"authd.modules.{name}"), CLASSES[name])(
        replace(surroundings(), sysconfdir=etc, timeout=10)
    )
    return made


def _has_new_accounts_in_its_sample(module: Module) -> None:
    """The last quarter of a large table has hashes of its own."""
    settle_one(module.login(b"imap", b"nobody@example.org", b"wrong"))
    forms = Counter(form_of(module.decoys.draw(b"%d" % number)) for number in range(1000))
    assert set(forms) == {b"$1$", b"$2b$04$"}
    assert 100 < forms[b"$2b$04$"] < 450
    module.close()


def _first_logins(make: Callable[[], Module], checked: list[bytes]) -> None:
    for user, reason in ((b"nobody@example.org", Reason.NO_SUCH_USER), (USERS[0].encode(), Reason.WRONG_PASSWORD)):
        module = make()
        assert settle_one(module.login(b"imap", user, b"wrong")).reason is reason
        module.close()
    assert checked == [b"$2b$04$"] * 2


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("driver", ["pymysql", "mysqlclient"])
def test_mysql(mariadb: MariaDB, tmp_path: Path, checked: list[bytes], driver: str, large: bool) -> None:
    if driver == "mysqlclient":
        pytest.importorskip("MySQLdb")
    fill(mariadb)
    with mariadb.connect(database="extmail") as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM mailbox")
        cursor.executemany(INSERT, LARGE if large else ROWS)
    (tmp_path / "authmysqlrc").write_text(mysqlrc(mariadb.socket))

    def make() -> Module:
        module = import_module("authd.modules.authmysql").AuthMysql
        made: Module = module(replace(surroundings(), sysconfdir=tmp_path, timeout=10, mysql_driver=driver))
        return made

    if large:
        _has_new_accounts_in_its_sample(make())
    else:
        _first_logins(make, checked)


@pytest.mark.parametrize("large", [False, True])
def test_pgsql(postgres: Postgres, tmp_path: Path, checked: list[bytes], large: bool) -> None:
    fill_postgres(postgres)
    with postgres.connect() as connection:
        connection.execute("DELETE FROM mailbox")
        connection.cursor().executemany(INSERT.encode(), LARGE if large else ROWS)
    (tmp_path / "authpgsqlrc").write_text(pgsqlrc(postgres.port))
    if large:
        _has_new_accounts_in_its_sample(_module("authpgsql", tmp_path))
    else:
        _first_logins(lambda: _module("authpgsql", tmp_path), checked)


def test_sqlite(tmp_path: Path) -> None:
    fill_sqlite(tmp_path / "a.db", LARGE)
    (tmp_path / "authsqliterc").write_text(sqliterc(tmp_path / "a.db"))
    _has_new_accounts_in_its_sample(_module("authsqlite", tmp_path))


def test_ldap(root: Path, checked: list[bytes]) -> None:
    require("slapd")
    pytest.importorskip("ldap")
    server = Slapd(root / "server")
    common = {"crypt": HASHED, "uidnum": b"1000", "gidnum": b"1000", "homedir": b"h"}
    server.make({"login": user.encode(), **common} for user in USERS)
    (root / "authldaprc").write_text(ldaprc(server.uri))
    with server:
        _first_logins(lambda: _module("authldap", root), checked)
        module = _module("authldap", root)
        assert module.login_name(b"user") == b"user@default.example"
