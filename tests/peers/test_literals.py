"""String literals of all kinds with variables in them: the real servers say what each is worth."""

from __future__ import annotations

import psycopg
import pymysql
from hypothesis import given, settings
from hypothesis import strategies as st

from authd.modules.sqltext import MYSQL, POSTGRESQL, ClauseError, Parameter, Syntax, substitute
from authd.modules.sqltokens import tokens
from authd.modules.statements import prepare
from tests.support.mariadb import MariaDB
from tests.support.postgres import Postgres

KNOWN = ("local_part", "domain")
VALUE = "it's \\n $$ %s"
PIECES = st.lists(
    st.sampled_from(
        [
            "a",
            "''",
            "\\\\",
            "\\n",
            "\\'",
            "\\x41",
            "\\101",
            "\\0041",
            "\\+000041",
            *("ä", "$", "%s", ":x", "--", "/*", '"', " "),
        ]
    ),
    max_size=6,
).map("".join)


def values_of(
    pieces: str, prefix: str, quote: str, end: str, syntax: Syntax
) -> tuple[str, str, tuple[object, ...]] | None:
    """Return the literal without a variable, the statement with one at its end, and the pieces of what is bound."""
    literal = f"{prefix}{quote}{pieces}{end}"
    try:
        statement = prepare(substitute(f"SELECT {prefix}{quote}{pieces}$(domain){end}", KNOWN, syntax), syntax)
    except ClauseError:
        return None
    if len(list(tokens(literal, syntax.lexicon))) != 1:
        # Its end is within, and something else follows.
        return None
    [name] = statement.names
    return literal, statement.text, tuple(statement.made.get(name, (Parameter(name),)))


@settings(max_examples=300)
@given(
    PIECES, st.sampled_from([("", "'", "'"), ("E", "'", "'"), ("U&", "'", "'"), ("", "$t$", "$t$"), ("", "$$", "$$")])
)
def test_postgresql_reads_a_literal_as_we_do(postgres: Postgres, pieces: str, form: tuple[str, str, str]) -> None:
    made = values_of(pieces, *form, POSTGRESQL)
    if made is None:
        return
    literal, text, bound = made
    with postgres.connect("template1") as connection:
        try:
            [(expected,)] = connection.execute(f"SELECT {literal}".encode()).fetchall()
        except psycopg.Error:
            # A literal that is none to the server, or one with an end of its own within.
            return
        value = "".join(VALUE if isinstance(piece, Parameter) else str(piece) for piece in bound)
        assert text == "SELECT %s"
        assert value == expected + VALUE


@settings(max_examples=300)
@given(PIECES, st.sampled_from([("", "'"), ("N", "'"), ("n", "'"), ("_utf8mb4", "'"), ("_utf8mb4 ", '"'), ("", '"')]))
def test_mariadb_makes_the_same_of_an_expression(mariadb: MariaDB, pieces: str, form: tuple[str, str]) -> None:
    prefix, quote = form
    made = values_of(pieces, prefix, quote, quote, MYSQL)
    if made is None:
        return
    literal, text, _ = made
    with mariadb.connect() as connection, connection.cursor() as cursor:
        try:
            cursor.execute(f"SELECT {literal}")
        except pymysql.Error:
            return
        [(expected,)] = cursor.fetchall()
        if pieces.endswith("\\") and not pieces.endswith("\\\\"):
            return
        cursor.execute(text, {"domain": VALUE})
        assert cursor.fetchall() == ((expected + VALUE,),)
