"""Clauses into statements: what a client sends never becomes part of the text."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authd.modules.sqltext import (
    MYSQL,
    POSTGRESQL,
    SQLITE,
    ClauseError,
    Parameter,
    Syntax,
    render,
    shown,
    substitute,
    unknown_variables,
)

KNOWN = ("local_part", "domain", "service")


def text(clause: str, syntax: Syntax = MYSQL) -> tuple[str, tuple[str, ...]]:
    """Return the statement with a ``?`` for each parameter, and the parameters' names."""
    parts = substitute(clause, KNOWN, syntax)
    names = tuple(part.name for part in parts if isinstance(part, Parameter))
    return "".join("?" if isinstance(part, Parameter) else part for part in parts), names


@pytest.mark.parametrize(
    ("clause", "mysql", "names"),
    [
        ("SELECT 1", "SELECT 1", ()),
        ("a = $(domain)", "a = ?", ("domain",)),
        ("a = '$(domain)'", "a = ?", ("domain",)),
        ('a = "$(domain)"', "a = ?", ("domain",)),
        ("'x$(domain)y'", "concat('x', ?, 'y')", ("domain",)),
        ("'$(local_part)@$(domain)'", "concat(?, '@', ?)", ("local_part", "domain")),
        ("'it''s $(domain)'", "concat('it''s ', ?)", ("domain",)),
        ("'\\'$(domain)'", "concat('\\'', ?)", ("domain",)),
        ("'\\\\$(domain)'", "concat('\\\\', ?)", ("domain",)),
        ("'\\$(domain)'", "?", ("domain",)),
        ('"it\'s ""$(domain)"', "concat('it''s \"', ?)", ("domain",)),
        ("'$(nosuch)'", "''", ()),
        ("'a$(nosuch)b'", "concat('a', 'b')", ()),
        ("a = $(nosuch) b", "a =  b", ()),
        ("f('$(domain)', '%')", "f(?, '%')", ("domain",)),
        ("a /* it's $(domain) */ b", "a /* it's  */ b", ()),
        ("a -- it's $(domain)", "a -- it's ", ()),
        ("a # it's $(domain)", "a # it's ", ()),
        ("a --b", "a --b", ()),
        ("a-b/c $ d", "a-b/c $ d", ()),
        ("`it's` = '$(domain)'", "`it's` = ?", ("domain",)),
    ],
)
def test_statements(clause: str, mysql: str, names: tuple[str, ...]) -> None:
    assert text(clause) == (mysql, names)


def test_standard_sql_has_other_operators_and_no_backslashes() -> None:
    assert text("'x$(domain)y'", SQLITE) == ("('x' || ? || 'y')", ("domain",))
    assert text("'\\' = '$(domain)'", SQLITE) == ("'\\' = ?", ("domain",))
    assert text("a # '$(domain)'", SQLITE) == ("a # ?", ("domain",))


@pytest.mark.parametrize(
    "clause",
    [
        "'$(domain)",
        "'$(domain'",
        "a = $(domain",
        "`$(domain)`",
        "FROM $(domain)_users",
        "FROM t_$(domain)",
        "FROM $(domain).t",
        "'unclosed",
        '"unclosed',
        "`unclosed",
        "'escaped\\'",
    ],
)
def test_what_can_not_be_bound_is_refused(clause: str) -> None:
    with pytest.raises(ClauseError):
        text(clause)


def test_drivers_get_their_own_marks() -> None:
    statement = substitute("a LIKE 'x%' AND b = $(domain)", KNOWN, MYSQL)
    assert render(statement, "pyformat") == "a LIKE 'x%%' AND b = %(domain)s"
    assert render(statement, "named") == "a LIKE 'x%' AND b = :domain"
    with pytest.raises(ValueError, match="qmark"):
        render(statement, "qmark")


def test_unknown_variables_are_found() -> None:
    assert unknown_variables("'$(domain)$(domian)' $(x)", KNOWN) == ["domian", "x"]


def test_traces_name_parameters() -> None:
    assert shown(("a = ", Parameter("domain")), {"domain": "d"}) == "a = $(domain) domain='d'"


literals = st.text(alphabet="ab '\\%-#/*\"`$(", max_size=12)


@given(st.lists(literals, max_size=3), st.text(max_size=12), st.text(max_size=12))
def test_a_literal_with_variables_is_what_pasting_was_meant_to_be(
    pieces: list[str], local_part: str, domain: str
) -> None:
    """A real SQLite evaluates the expression; the value is the pieces with the variables' values between, whatever those are."""
    values = {"local_part": local_part.replace("\0", ""), "domain": domain.replace("\0", "")}
    names = ["local_part", "domain", "local_part"]
    clause, expected = "SELECT '", ""
    for name, piece in zip(names, pieces, strict=False):
        if "$(" in piece:
            return
        clause += piece.replace("'", "''") + f"$({name})"
        expected += piece + values[name]
    statement = render(substitute(clause + "'", KNOWN, SQLITE), SQLITE.paramstyle)
    connection = sqlite3.connect(":memory:")
    assert connection.execute(statement, values).fetchone() == (expected,)
    connection.close()


pieces_of_clauses = st.sampled_from(
    [*"ab1 '\\%-#/*!\"`[]$(),=|\n\u00a0\u00e4", "$(domain)", "$()", "'$(local_part)'", "as ", "N'", "$a$"]
)


@given(st.lists(pieces_of_clauses, max_size=12).map("".join))
def test_any_clause_is_a_statement_or_refused(clause: str) -> None:
    for syntax in (MYSQL, SQLITE, POSTGRESQL):
        try:
            statement = substitute(clause, KNOWN, syntax)
        except ClauseError:
            continue
        parameters = [part for part in statement if isinstance(part, Parameter)]
        inner = [piece for part in parameters for piece in part.pieces or [part] if isinstance(piece, Parameter)]
        assert {part.name for part in inner} <= set(KNOWN)


def names_of(clause: str, syntax: Syntax) -> tuple[str, ...]:
    parts = substitute(clause, KNOWN, syntax)
    return tuple(part.name for part in parts if isinstance(part, Parameter))


@pytest.mark.parametrize(
    ("clause", "expected"),
    [
        ("_utf8mb4'$(domain)'", "_utf8mb4?"),
        ("_utf8mb4 'x$(domain)'", "concat(_utf8mb4 'x', _utf8mb4 ?)"),
        ("N'$(domain)y'", "concat(N?, N'y')"),
        ("'a' 'b$(domain)'", "concat('a', 'b', ?)"),
        ("'$(domain)' /* x */ 'b'", "concat(?, 'b')"),
        ("AND'$(domain)'AND", "AND ? AND"),
        ("/*!40000 '$(domain)' */", "/*!40000 ? */"),
        ("/*M!100100 $(domain)*/", "/*M!100100 ?*/"),
        ("/*+ '$(domain)' */ 1", "/*+ '' */ 1"),
        ("X'41' = b'1'", "X'41' = b'1'"),
        ('"it\'s \\" $(domain)"', "concat('it''s \\\" ', ?)"),
        ("DATE '$(domain)'", "DATE ?"),
    ],
)
def test_literals_of_mysql(clause: str, expected: str) -> None:
    assert text(clause)[0] == expected


@pytest.mark.parametrize(
    ("clause", "pieces"),
    [
        ("'x$(domain)y'", ("x", Parameter("domain"), "y")),
        ("'it''s \\ $(domain)'", ("it's \\ ", Parameter("domain"))),
        ("E'\\'\\x41\\u00e4$(domain)'", ("'A\u00e4", Parameter("domain"))),
        ("E'\\xc3\\xa4$(domain)'", ("\u00e4", Parameter("domain"))),
        ("E'\\ud83d\\U0000DE00\\xc3\\xa4$(domain)'", ("\U0001f600\u00e4", Parameter("domain"))),
        ("U&'\\0041\\+01F600\\\\$(domain)'", ("A\U0001f600\\", Parameter("domain"))),
        ("$q$ $$ ' $(domain)$q$", (" $$ ' ", Parameter("domain"))),
    ],
)
def test_a_literal_of_postgresql_is_one_parameter(clause: str, pieces: tuple[str | Parameter, ...]) -> None:
    [parameter] = [part for part in substitute(clause, KNOWN, POSTGRESQL) if isinstance(part, Parameter)]
    assert parameter.pieces == pieces


def test_a_parameter_of_postgresql_has_a_type_where_a_literal_has_one() -> None:
    shown_text = shown(substitute("concat('$(domain)') || '$(domain)' || N'$(domain)' IS NULL", KNOWN, POSTGRESQL), {})
    assert shown_text == "concat(CAST($(domain) AS text)) || $(domain) || CAST($(domain) AS bpchar) IS NULL"


@pytest.mark.parametrize(
    ("clause", "syntax"),
    [
        ("X'$(domain)'", MYSQL),
        ("b'$(domain)'", MYSQL),
        ("DATE 'x$(domain)'", MYSQL),
        ("a /* $(domain)", MYSQL),
        ("(@'x$(domain)' := 1)", MYSQL),
        ("1 AS 'x$(domain)'", MYSQL),
        ("group_concat(a SEPARATOR '$(domain)')", MYSQL),
        ("lower(a) '$(domain)'", MYSQL),
        ("date '$(domain)'", POSTGRESQL),
        ("X'$(domain)'", POSTGRESQL),
        ("U&'$(domain)' UESCAPE '!'", POSTGRESQL),
        ("U&'\\zz$(domain)'", POSTGRESQL),
        *(
            (f"E'{code}$(domain)'", POSTGRESQL)
            for code in ("\\ud83d", "\\ude00", "\\U00110000", "\\u0000", "\\0", "\\x0")
        ),
        *((f"U&'{code}$(domain)'", POSTGRESQL) for code in ("\\d83d", "\\+110000", "\\0000")),
        ("'a' '$(domain)'", POSTGRESQL),
        ("$t$ $(domain)", POSTGRESQL),
        ("/* /* */ $(domain)", POSTGRESQL),
        ("$1", POSTGRESQL),
        ("[$(domain)]", SQLITE),
        ("x'$(domain)'", SQLITE),
        ("'a' '$(domain)'", SQLITE),
        ("1 AS '$(domain)'", SQLITE),
        ("1 'x$(domain)'", SQLITE),
        ("`a` 'x$(domain)'", SQLITE),
        *((f"{mark} = 1", SQLITE) for mark in (":x", "?", "@x", "$x", "#x", "$$", "@$", ":$x", "$::x", ":\u00a0")),
        ("$(domain) 'x$(domain)'", SQLITE),
        ("$(domain)'$(domain)'", MYSQL),
        *((f"'$(domain)'{prefix}'$(domain)'", MYSQL) for prefix in ("N", "_utf8")),
    ],
)
def test_what_has_no_value_to_bind_is_refused(clause: str, syntax: Syntax) -> None:
    with pytest.raises(ClauseError, match=r"; "):
        substitute(clause, KNOWN, syntax)


def test_comments_end_where_the_engine_ends_them() -> None:
    assert names_of("/* '/* */ $(domain) */", MYSQL) == ("domain",)
    assert names_of("/* '/* */ $(domain) */", POSTGRESQL) == ()
    assert names_of("1 --'$(domain)", SQLITE) == ()
    assert names_of("1 --$(domain)", POSTGRESQL) == ()
    assert names_of("1 --$(domain)", MYSQL) == ("domain",)
    assert names_of("1 --\u00a0'$(domain)'", MYSQL) == ("domain",)
    assert names_of("1 # $(domain)", POSTGRESQL) == ("domain",)


def test_a_variable_that_stands_for_nothing_is_not_before_a_literal() -> None:
    assert text("a = $()'$(domain)'") == ("a = ?", ("domain",))
    assert text("a = $(domian)'$(domain)'", SQLITE) == ("a = ?", ("domain",))
