"""Whatever expressions a file has: many users at once get what each gets alone, and alone they get what Courier gives."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authd.account import Account
from authd.modules.authmysql import AuthMysql
from authd.modules.authpgsql import AuthPgsql
from authd.modules.authsqlite import AuthSqlite
from authd.modules.base import Surroundings, TemporaryFailure
from authd.modules.sql import SqlModule
from tests.conftest import opened, require
from tests.support.accounts import fill_postgres
from tests.support.courier import DAEMON
from tests.support.mariadb import MariaDB
from tests.support.pair import Pair
from tests.support.postgres import Postgres
from tests.support.sysconf import edit, write_authdaemonrc
from tests.support.wire import login, pre

COLUMNS = (
    ("email", "VARCHAR(40)"),
    ("local", "VARCHAR(40)"),
    ("domain", "VARCHAR(40)"),
    ("num", "INT"),
    ("big", "BIGINT"),
    ("real_one", "DOUBLE PRECISION"),
    ("exact", "DECIMAL(10,2)"),
    ("day", "DATE"),
    ("padded", "CHAR(8)"),
    ("active", "INT"),
    ("password", "VARCHAR(40)"),
)
ROWS: Sequence[tuple[Any, ...]] = (
    ("ann", "ann", "x", 7, 9007199254740993, 0.1, "1.00", "2020-01-01", "ann", 1, "annspassword"),
    ("bob", "bob", "x", 8, 9007199254740992, 0.2, "2.50", "2021-01-01", "bob", 0, "bobspassword"),
    ("7", "seven", "y", 1, 7, 7.0, "7.00", "2022-01-01", "7", 1, "sevenspassword"),
    ("1", "one", "y", 0, 1, 1.0, "1.00", "2023-01-01", "1", 1, "onespassword"),
    ("Carl", "carl", "x", 10, 10, 10.5, "0.00", "2024-01-01", "carl", 1, "carlspassword"),
    ("dora ", "dora", "", 11, 11, 11.0, "11.00", "2025-01-01", "dora", 1, "doraspassword"),
    ("twice", "twice", "x", 12, 12, 12.0, "12.00", "2026-01-01", "twice", 1, "first"),
    ("twice", "twice", "y", 13, 13, 12.0, "12.00", "2026-01-01", "twice", 1, "second"),
    (None, None, "x", 14, 14, 14.0, "14.00", "2027-01-01", None, 1, "nameless"),
)
USERS = (
    *(
        "ann",
        "Ann",
        "ann ",
        " ann",
        "bob",
        "7",
        "07",
        "7.0",
        "7abc",
        "1",
        "0",
        "1.00",
        "true",
        "t",
        "Carl",
        "carl",
        "CARL",
    ),
    *(
        "dora",
        "dora ",
        "twice",
        "nobody",
        "eve",
        "x",
        "ann@x",
        "carl@x",
        "ANN@X",
        "9007199254740993",
        "9007199254740992",
    ),
    *("0.1", "10.5", "2020-01-01", "20200101", "é", "E", "ann' OR ''='", "\\", "%", "ann|x"),
)

LOGINS = (
    *(
        "email",
        "accounts.email",
        "num",
        "big",
        "real_one",
        "exact",
        "day",
        "padded",
        "(email)",
        "lower(email)",
        "upper(email)",
    ),
    *("concat(local,'@',domain)", "concat(email,'')", "coalesce(email,local)", "trim(email)", "substr(email,1,3)"),
    *(
        "active=1 AND email",
        "active=1 OR email",
        "num=7 or email",
        "(active=1 AND email)",
        "NOT email",
        "-num",
        "num + 0",
    ),
    *("email = local", "email IS NULL", "num < 9", "email LIKE", "num IN (7) AND email", "email AND active", "active"),
    *(
        "CASE WHEN active=1 THEN email ELSE local END",
        "num BETWEEN 7 AND 8 AND email",
        "1",
        "'ann'",
        "email /* login */",
    ),
)
WHERES = (
    *(
        "1=1",
        "active=1",
        "active=1 OR num=8",
        "NOT active=1",
        "num=7 AND active=1 OR num=8",
        "email <> 'bob'",
        "num IN (7,8)",
    ),
    *(
        "1=1) OR (num=7",
        "active=1 ORDER BY num",
        "num=(SELECT max(num) FROM accounts)",
        "EXISTS(SELECT 1)",
        "active=1 LIMIT 1",
    ),
    *("num=7 -- x", "lower(email)='ann'", "local LIKE '%n%'", "1=1) UNION (SELECT 1", "num=7 /* x */"),
)
FIELDS = (
    "domain",
    "concat(local,'x')",
    "'literal'",
    "max(local)",
    "count(*)",
    "(SELECT count(*) FROM accounts)",
    "num",
    "lower(local)",
)
TABLES = ("accounts", "accounts LEFT JOIN sites ON accounts.domain = sites.site", "(SELECT * FROM accounts) accounts")

MYSQL_LOGINS = (
    *(
        "`email`",
        "BINARY email",
        "email COLLATE utf8mb4_bin",
        "email || local",
        "email XOR active",
        "email RLIKE 'a'",
        "exact+real_one",
    ),
    *(
        "if(active,email,num)",
        "ifnull(num,email)",
        "substring_index(email,'@',1)",
        "concat(email,rand())",
        "@x := email",
        "x'616e6e'",
    ),
    *(
        "chosen",
        "raw",
        "old",
        "old_ci",
        "!email",
        "~num",
        "email REGEXP",
        "active && email",
        "concat_ws('@',local,domain)",
        "uuid()",
    ),
)
POSTGRESQL_LOGINS = (
    *(
        "local || '@' || domain",
        "email::text",
        "num::text",
        '"email"',
        'email COLLATE "C"',
        "unnest(ARRAY[email,local])",
        "user",
    ),
    *(
        "random()::text",
        "email || random()",
        "split_part(email,'@',1)",
        "text(num)",
        "varchar(email)",
        "flag",
        "name_of(email)",
    ),
)
SQLITE_LOGINS = (
    *(
        "local || '@' || domain",
        "email COLLATE NOCASE",
        '"email"',
        "[email]",
        "`email`",
        "+email",
        "+num",
        "cast(num AS TEXT)",
    ),
    *(
        "folded",
        "any_type",
        "random()",
        "email || random()",
        "ifnull(email,num)",
        "-num",
        "email IS",
        "iif(active,email,num)",
    ),
)

Findings = list[Account | str | None]


def surroundings(etc: Path) -> Surroundings:
    return Surroundings(etc, 10, 32, "pymysql", {}, lambda line: None, lambda line: None, None)


def content(connection: str, prefix: str, expressions: tuple[str, str, str, str]) -> str:
    login_field, where, field, table = expressions
    return (
        f"##NAME: LOCATION:0\n{connection}\n{prefix}USER_TABLE\t{table}\n{prefix}LOGIN_FIELD\t{login_field}\n"
        f"{prefix}CLEAR_PWFIELD\tpassword\n{prefix}UID_FIELD\t'1000'\n{prefix}GID_FIELD\t'1000'\n{prefix}HOME_FIELD\tpassword\n"
        f"{prefix}NAME_FIELD\t{field}\n{prefix}WHERE_CLAUSE\t{where}\n##NAME: MARKER:0\n"
    )


def plain(finding: Account | TemporaryFailure | None) -> Account | str | None:
    return finding.reason.name if isinstance(finding, TemporaryFailure) else finding


def at_once(module: SqlModule, users: Sequence[str]) -> Findings:
    return [plain(finding) for finding in module.find_each([(b"imap", user.encode()) for user in users])]


def one_by_one(module: SqlModule, users: Sequence[str]) -> Findings:
    found: Findings = []
    for user in users:
        try:
            found.append(plain(module.find(b"imap", user.encode())))
        except TemporaryFailure as failure:
            found.append(failure.reason.name)
    return found


def normal(findings: Findings) -> list[Any]:
    return [dataclasses.astuple(one) if isinstance(one, Account) else one for one in findings]


class Engine:
    """A module, made anew for each set of expressions."""

    def __init__(self, etc: Path, kind: type[SqlModule], connection: str, prefix: str) -> None:
        etc.mkdir(parents=True, exist_ok=True)
        self.etc = etc
        self._kind = kind
        self._connection = connection
        self._prefix = prefix

    def content(self, expressions: tuple[str, str, str, str]) -> str:
        return content(self._connection, self._prefix, expressions)

    def module(self, expressions: tuple[str, str, str, str]) -> SqlModule:
        (self.etc / self._kind.file_name).write_text(self.content(expressions))
        return self._kind(surroundings(self.etc))

    def assert_same(self, expressions: tuple[str, str, str, str], users: Sequence[str]) -> None:
        module = self.module(expressions)
        try:
            # An engine's order of rows, and random numbers, are nobody's promise; two answers alone show it.
            alone, again = one_by_one(module, users), one_by_one(module, users)
            together = at_once(module, users)
            for user, one, other, batched in zip(users, normal(alone), normal(again), normal(together), strict=True):
                assert batched in (one, other) or one != other, (expressions, user)
        finally:
            module.close()


def expressions(logins: Sequence[str]) -> st.SearchStrategy[tuple[str, str, str, str]]:
    plain_half = st.tuples(st.sampled_from(logins), st.just("1=1"), st.just("domain"), st.just("accounts"))
    return plain_half | st.tuples(
        st.sampled_from(logins), st.sampled_from(WHERES), st.sampled_from(FIELDS), st.sampled_from(TABLES)
    )


users = st.lists(st.sampled_from(USERS), min_size=2, max_size=16)
many = settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.fixture(scope="module")
def mysql(mariadb: MariaDB, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS)
    more = (
        "chosen ENUM('ann','bob','7','1'), raw VARBINARY(9), old VARCHAR(9) CHARACTER SET latin1, "
        "old_ci VARCHAR(9) CHARACTER SET latin1 COLLATE latin1_german2_ci"
    )
    mariadb.execute(
        "DROP DATABASE IF EXISTS expressions",
        "CREATE DATABASE expressions CHARACTER SET utf8mb4",
        f"CREATE TABLE expressions.accounts ({columns}, {more})",
        "CREATE TABLE expressions.sites (site VARCHAR(9))",
        "INSERT INTO expressions.sites VALUES ('x')",
        "CREATE OR REPLACE USER extmail@localhost IDENTIFIED BY 'extmail'",
        "GRANT SELECT ON expressions.* TO extmail@localhost",
    )
    with mariadb.connect(database="expressions") as connection, connection.cursor() as cursor:
        for row in ROWS:
            wide = (*row, row[0] if row[0] in ("ann", "bob", "7", "1") else None, row[0], row[0], row[0])
            cursor.execute(f"INSERT INTO accounts VALUES ({', '.join(['%s'] * len(wide))})", wide)
    lines = (
        f"MYSQL_SERVER localhost\nMYSQL_SOCKET {mariadb.socket}\nMYSQL_USERNAME extmail\nMYSQL_PASSWORD extmail\n"
        "MYSQL_DATABASE expressions\nMYSQL_PORT 0\nMYSQL_OPT 0"
    )
    yield Engine(opened(tmp_path_factory.mktemp("expressions")) / "etc", AuthMysql, lines, "MYSQL_")
    mariadb.execute("DROP DATABASE expressions")


@pytest.fixture(scope="module")
def pgsql(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    fill_postgres(postgres)
    columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS)
    postgres.execute("DROP DATABASE IF EXISTS expressions", "CREATE DATABASE expressions")
    postgres.execute(
        f"CREATE TABLE accounts ({columns}, flag BOOLEAN DEFAULT true)",
        "CREATE TABLE sites (site text)",
        "INSERT INTO sites VALUES ('x')",
        "CREATE FUNCTION name_of(text) RETURNS text LANGUAGE sql AS $$ SELECT CASE WHEN random() < 2 THEN $1 END $$",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO extmail",
        database="expressions",
    )
    with postgres.connect("expressions") as connection:
        for row in ROWS:
            connection.execute(f"INSERT INTO accounts VALUES ({', '.join(['%s'] * len(row))})".encode(), row)
    lines = f"PGSQL_CONNECTION host=127.0.0.1 port={postgres.port} user=extmail password=extmail\nPGSQL_DATABASE expressions"
    yield Engine(opened(tmp_path_factory.mktemp("expressions")) / "etc", AuthPgsql, lines, "PGSQL_")
    postgres.execute("DROP DATABASE expressions WITH (FORCE)")


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    root = opened(tmp_path_factory.mktemp("expressions"))
    columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS)
    connection = sqlite3.connect(root / "accounts.db")
    connection.execute(f"CREATE TABLE accounts ({columns}, folded TEXT COLLATE NOCASE, any_type)")
    connection.execute("CREATE TABLE sites (site)")
    connection.execute("INSERT INTO sites VALUES ('x')")
    for row in ROWS:
        wide = (*row, row[0], row[3])
        connection.execute(f"INSERT INTO accounts VALUES ({', '.join('?' * len(wide))})", wide)
    connection.commit()
    connection.close()
    return Engine(root / "etc", AuthSqlite, f"SQLITE_DATABASE {root / 'accounts.db'}", "SQLITE_")


@many
@given(chosen=expressions(LOGINS + MYSQL_LOGINS), who=users)
def test_mariadb(mysql: Engine, chosen: tuple[str, str, str, str], who: list[str]) -> None:
    mysql.assert_same(chosen, who)


@many
@given(chosen=expressions(LOGINS + POSTGRESQL_LOGINS), who=users)
def test_postgresql(pgsql: Engine, chosen: tuple[str, str, str, str], who: list[str]) -> None:
    pgsql.assert_same(chosen, who)


@many
@given(chosen=expressions(LOGINS + SQLITE_LOGINS), who=users)
def test_sqlite(sqlite: Engine, chosen: tuple[str, str, str, str], who: list[str]) -> None:
    sqlite.assert_same(chosen, who)


def test_eve_is_not_let_in_with_anns_password(mysql: Engine) -> None:
    module = mysql.module(("active=1 AND email", "1=1", "domain", "accounts"))
    try:
        found = at_once(module, ["eve", "ann", "bob", "7"] * 4)
        assert found[::4] == [None] * 4
        assert all(isinstance(one, Account) and one.clear == b"annspassword" for one in found[1::4])
    finally:
        module.close()


JOINABLE = ("email", "accounts.email", "lower(email)", "concat(local,'@',domain)", "trim(email)")


@pytest.mark.parametrize("login_field", JOINABLE)
@pytest.mark.parametrize("where", ["1=1", "active=1", "active='1' AND (num<9 OR domain LIKE '%x')"])
def test_ordinary_expressions_are_asked_together(mysql: Engine, login_field: str, where: str) -> None:
    asked: list[str] = []
    module = mysql.module((login_field, where, "concat('/var/',local)", "accounts"))
    module._surroundings = dataclasses.replace(module._surroundings, trace=asked.append)
    try:
        at_once(module, ["ann", "bob", "nobody", "Carl"])
        assert any(" IN (" in statement for statement in asked)
    finally:
        module.close()


@pytest.fixture(scope="module")
def pair(mysql: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    require("unshare", DAEMON)
    root = opened(tmp_path_factory.mktemp("pair"))
    etc = root / "etc"
    write_authdaemonrc(etc, root / "authd")
    (etc / "authmysqlrc").write_text(mysql.content(("email", "1=1", "domain", "accounts")))
    with Pair(root, etc, root / "authd") as both:
        yield both


DETERMINISTIC: Callable[[str], bool] = lambda text: not any(word in text for word in ("rand", "uuid", ":="))  # noqa: E731


@pytest.mark.parametrize("login_field", [text for text in LOGINS + MYSQL_LOGINS if DETERMINISTIC(text)])
def test_alone_they_get_what_courier_gives(pair: Pair, mysql: Engine, login_field: str) -> None:
    edit(pair.etc / "authmysqlrc", mysql.content((login_field, "active=1 OR num=8", "domain", "accounts")))
    for user in USERS:
        if user.strip():
            courier, authd = pair.ask(pre(user))
            assert authd == courier, user
    for user in ("ann", "eve", "1"):
        courier, authd = pair.ask(login(user, "annspassword"))
        assert authd == courier, user
