"""Only expressions that are certain to mean the same in a query for many are put into one."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authd.modules.joinable import MYSQL_CERTAIN, POSTGRESQL_CERTAIN, SQLITE_CERTAIN, Certain

ENGINES = {"mysql": MYSQL_CERTAIN, "postgresql": POSTGRESQL_CERTAIN, "sqlite": SQLITE_CERTAIN}


def joinable(certain: Certain, login: str = "email", other: str = "1=1", table: str = "mailbox") -> bool:
    return certain.is_joinable(login, (other,), table)


@pytest.mark.parametrize("certain", ENGINES.values(), ids=ENGINES)
@pytest.mark.parametrize(
    "login",
    [
        "email",
        "mailbox.email",
        "mail.mailbox.email",
        "(email)",
        "lower(email)",
        "concat(local, '@', domain)",
        "trim( email )",
    ],
)
def test_names_and_calls_are_logins(certain: Certain, login: str) -> None:
    assert joinable(certain, login)


@pytest.mark.parametrize("certain", ENGINES.values(), ids=ENGINES)
@pytest.mark.parametrize(
    "login",
    [
        *(
            "active=1 AND email",
            "active=1 OR email",
            "(active=1 AND email)",
            "NOT email",
            "-email",
            "+email",
            "email + 0",
        ),
        *("email IS", "email LIKE", "email IN (1) AND email", "email COLLATE nocase", "BINARY email", "DISTINCT email"),
        *(
            "random()",
            "rand()",
            "uuid()",
            "my_function(email)",
            "pg_catalog.lower(email)",
            "`lower`(email)",
            "lower (f(email))",
        ),
        *(
            "email -- x",
            "email /* x */",
            "email)",
            "(email",
            "concat(email",
            "",
            "''",
            "'ann'",
            "email b",
            "a.b.",
            ".a",
        ),
        *(
            "(SELECT email)",
            "CASE email",
            "email, local",
            "concat()",
            "@email",
            "email := 1",
            ":email",
            "?",
            "email\\",
            "lower()",
        ),
        *(
            "'it\\'s'",
            "concat('\\\\', email)",
            "N'x'",
            "current_user",
            "email || ",
            "|| email",
            "email | local",
            "null",
            "$(user)",
        ),
    ],
)
def test_nothing_else_is_a_login(certain: Certain, login: str) -> None:
    assert not joinable(certain, login)


def test_a_concatenation_is_one_where_it_is_none_of_an_or() -> None:
    assert joinable(POSTGRESQL_CERTAIN, "local || '@' || lower(domain)")
    assert joinable(SQLITE_CERTAIN, "(local || '@' || domain)")
    assert not joinable(MYSQL_CERTAIN, "local || domain")
    assert not joinable(POSTGRESQL_CERTAIN, "local || '@' || active = 1")


@pytest.mark.parametrize("certain", ENGINES.values(), ids=ENGINES)
@pytest.mark.parametrize(
    "other",
    [
        *(
            "active = '1'",
            "active=1 AND NOT (locked=1 OR quota > 5)",
            "name LIKE 'a%'",
            "domain IN ('x','y')",
            "'/var/' || home",
        ),
        *(
            "concat('/var/mailbox/',homedir)",
            "2525",
            "-1",
            "1.5",
            "CASE WHEN active=1 THEN 'x' ELSE '' END",
            "a IS NOT NULL",
        ),
    ],
)
def test_conditions_of_one_row(certain: Certain, other: str) -> None:
    assert joinable(certain, other=other)


@pytest.mark.parametrize("certain", ENGINES.values(), ids=ENGINES)
@pytest.mark.parametrize(
    "other",
    [
        *(
            "count(*)",
            "max(name)",
            "rand() < 1",
            "now() > x",
            "my_function(name)",
            "row_number() OVER ()",
            "(SELECT 1)",
        ),
        *(
            "active=1 ORDER BY name",
            "active=1 LIMIT 1",
            "1=1) OR (1=1",
            "active=1 -- ",
            "active=1 /* x */",
            "active=1 /*! x */",
        ),
        *(
            "@x",
            "x := 1",
            "active = ?",
            "active = :x",
            "active=1 FOR UPDATE",
            "1=1 UNION SELECT 1",
            "current_timestamp > x",
        ),
        *(
            "'open",
            '"open',
            "active=1; DELETE FROM x",
            "EXISTS (x)",
            "DISTINCT name",
            "unnest(x)",
            "'a\\' OR 1=1",
            "next value",
        ),
    ],
)
def test_conditions_that_reach_further(certain: Certain, other: str) -> None:
    assert not joinable(certain, other=other)


@pytest.mark.parametrize("certain", ENGINES.values(), ids=ENGINES)
def test_tables(certain: Certain) -> None:
    for table in ("mail.mailbox", "mailbox m", "mailbox, sites", "a LEFT JOIN b ON a.x = b.y", "a JOIN b USING (x)"):
        assert joinable(certain, table=table), table
    for table in (
        "(SELECT 1) m",
        "f(1)",
        "mailbox LIMIT 1",
        "mailbox WHERE 1=1 OR",
        "mailbox TABLESAMPLE SYSTEM (1)",
        "m --",
    ):
        assert not joinable(certain, table=table), table


def test_a_cast_of_postgresql() -> None:
    assert joinable(POSTGRESQL_CERTAIN, other="uid::text = '5'")
    assert not joinable(POSTGRESQL_CERTAIN, other="user = name")
    assert joinable(MYSQL_CERTAIN, login="user")


@given(
    st.lists(st.sampled_from([*"ab'\"`()|,.=-/* []", "||", "' '", "lower(", "and ", "in", "1"]), max_size=9).map(
        "".join
    )
)
def test_what_is_a_login_stays_one_operand(text: str) -> None:
    """A real SQLite takes it for the same with parentheses around it and without."""
    if not joinable(SQLITE_CERTAIN, text):
        return
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (a TEXT, b INTEGER)")
    connection.execute("INSERT INTO t VALUES ('b', 1), ('1', 0), ('A', NULL)")

    def value(comparison: str) -> object:
        try:
            return connection.execute(f"SELECT {comparison} FROM t").fetchall()
        except sqlite3.Error:
            return None

    for other in ("'b'", "'1'", "1"):
        assert value(f"{text} = {other}") == value(f"({text}) = {other}")
        assert value(f"{text} IN ({other}, 'x')") == value(f"({text}) IN ({other}, 'x')")
    connection.close()
