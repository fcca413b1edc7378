"""An administrator's SQL clause into a statement with bound parameters.

The clause is trusted and goes in as it is; what a client sent never becomes part of the text.  A variable on its own is a
parameter, and one within a string literal makes the literal an expression::

    WHERE user = $(local_part)            WHERE user = ?
    WHERE user = '$(local_part)'          WHERE user = ?
    WHERE mail = 'x$(domain)y'            WHERE mail = concat('x', ?, 'y')
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from authd.modules.joinable import MYSQL_CERTAIN, POSTGRESQL_CERTAIN, SQLITE_CERTAIN, Certain

VARIABLE = re.compile(r"\$\(([^)]*)\)")


@dataclass(frozen=True, slots=True)
class Parameter:
    """A place in a statement where a value is bound.

    :param name: of the variable: local_part, domain, service, newpass, newpass_crypt.
    """

    name: str


Part = str | Parameter
Statement = tuple[Part, ...]


class ClauseError(ValueError):
    """A clause that no statement can be made from; the text says what to mend."""


@dataclass(frozen=True, slots=True)
class Syntax:
    """How a kind of database writes SQL.

    :param backslash_escapes: whether a backslash in a string literal escapes the next character.
    :param hash_comments: whether ``#`` begins a comment.
    :param concatenate: joins SQL expressions, each a list of parts, into one that concatenates them.
    :param names_in_double_quotes: whether double quotes are for names, as in the standard, or for strings too.
    :param paramstyle: how the driver marks parameters; see `render`.
    :param one_in_20: SQL condition that is true for a random row in 20.
    :param certain: which expressions are certain to mean the same in a query for many.
    :param over_network: whether statements and answers go over a connection to a server.
    """

    backslash_escapes: bool
    hash_comments: bool
    concatenate: Callable[[Sequence[Statement]], Statement]
    paramstyle: str
    one_in_20: str
    certain: Certain
    names_in_double_quotes: bool = False
    over_network: bool = True


def _mysql_concatenate(expressions: Sequence[Statement]) -> Statement:
    return _joined("concat(", expressions, ", ", ")")


def _standard_concatenate(expressions: Sequence[Statement]) -> Statement:
    return _joined("(", expressions, " || ", ")")


def _joined(opening: str, expressions: Sequence[Statement], separator: str, closing: str) -> Statement:
    parts: list[Part] = [opening]
    for number, expression in enumerate(expressions):
        if number:
            parts.append(separator)
        parts.extend(expression)
    parts.append(closing)
    return tuple(parts)


MYSQL = Syntax(
    backslash_escapes=True,
    hash_comments=True,
    concatenate=_mysql_concatenate,
    paramstyle="pyformat",
    one_in_20="rand() < 0.05",
    certain=MYSQL_CERTAIN,
)
SQLITE = Syntax(
    backslash_escapes=False,
    hash_comments=False,
    concatenate=_standard_concatenate,
    paramstyle="named",
    one_in_20="abs(random() / 10) % 20 = 0",
    certain=SQLITE_CERTAIN,
    over_network=False,
)
POSTGRESQL = Syntax(
    backslash_escapes=False,
    hash_comments=False,
    concatenate=_standard_concatenate,
    paramstyle="format",
    one_in_20="random() < 0.05",
    certain=POSTGRESQL_CERTAIN,
    names_in_double_quotes=True,
)


def substitute(clause: str, variables: Iterable[str], syntax: Syntax) -> Statement:
    """Return the statement of `clause`.

    :param variables: names that have a value here; any other name stands for nothing, as in Courier.
    :raises ClauseError: if a variable stands where no value can be bound.
    """
    known = frozenset(variables)
    parts: list[Part] = []
    for kind, token in _tokens(clause, syntax):
        if kind == "variable":
            _append_bare(parts, token, known)
        elif kind == "text" or "$(" not in token:
            parts.append(token)
        elif kind == "comment":
            parts.append(VARIABLE.sub("", token))
        elif token[0] == "`" or (token[0] == '"' and syntax.names_in_double_quotes):
            raise ClauseError("a variable can't be part of a quoted name; compare a column with it instead")
        else:
            parts.extend(_literal(token, known, syntax))
    _reject_names(parts)
    return tuple(parts)


def unknown_variables(clause: str, variables: Iterable[str]) -> list[str]:
    """Return the names of variables in `clause` that have no value there."""
    known = frozenset(variables)
    return [name for name in VARIABLE.findall(clause) if name not in known]


def render(statement: Statement, paramstyle: str) -> str:
    """Return the text of `statement` as a driver takes it.

    :param paramstyle: ``named``, ``pyformat`` or ``format``, in the terms of PEP 249.
    :raises ValueError: if it is another.
    """
    if paramstyle == "pyformat":
        return "".join(
            f"%({part.name})s" if isinstance(part, Parameter) else part.replace("%", "%%") for part in statement
        )
    if paramstyle == "format":
        return "".join("%s" if isinstance(part, Parameter) else part.replace("%", "%%") for part in statement)
    if paramstyle == "named":
        return "".join(f":{part.name}" if isinstance(part, Parameter) else part for part in statement)
    raise ValueError(f"paramstyle {paramstyle}")


def shown(statement: Statement, values: Mapping[str, Any]) -> str:
    """Return `statement` for a trace: parameters as ``$(name)``, followed by the values in `values`."""
    text = "".join(f"$({part.name})" if isinstance(part, Parameter) else part for part in statement)
    return " ".join([text, *(f"{name}={value!r}" for name, value in values.items())])


def _tokens(clause: str, syntax: Syntax) -> Iterable[tuple[str, str]]:
    """Yield what `clause` consists of: (text | quoted | comment | variable, token)."""
    position = 0
    while position < len(clause):
        start = position
        character = clause[position]
        if character in "'\"`":
            position = _end_of_quoted(clause, position, syntax.backslash_escapes and character != "`")
            yield "quoted", clause[start:position]
        elif clause.startswith("/*", position):
            end = clause.find("*/", position + 2)
            position = len(clause) if end < 0 else end + 2
            yield "comment", clause[start:position]
        elif re.match(r"--(\s|$)", clause[position : position + 3]) or (character == "#" and syntax.hash_comments):
            position = len(clause)
            yield "comment", clause[start:]
        elif clause.startswith("$(", position):
            variable = VARIABLE.match(clause, position)
            if variable is None:
                raise ClauseError("a $( has no ); close it")
            position = variable.end()
            yield "variable", variable[1]
        else:
            position += 1
            while position < len(clause) and clause[position] not in "'\"`/-#$":
                position += 1
            yield "text", clause[start:position]


def _end_of_quoted(clause: str, position: int, backslash_escapes: bool) -> int:
    """Return the position after the literal or name that begins at `position`."""
    quote = clause[position]
    position += 1
    while position < len(clause):
        if clause[position] == "\\" and backslash_escapes:
            position += 2
        elif clause[position] != quote:
            position += 1
        elif clause[position + 1 : position + 2] == quote:
            position += 2
        else:
            return position + 1
    raise ClauseError(f"a {quote} has no counterpart; close it")


def _append_bare(parts: list[Part], name: str, known: frozenset[str]) -> None:
    if name in known:
        parts.append(Parameter(name))


def _literal(token: str, known: frozenset[str], syntax: Syntax) -> Statement:
    """Return the expression of a string literal that has variables in it."""
    expressions: list[Statement] = []
    pieces = VARIABLE.split(token[1:-1])
    for number, written in enumerate(pieces):
        piece = written
        if number % 2:
            if piece in known:
                expressions.append((Parameter(piece),))
            continue
        if "$(" in piece:
            raise ClauseError("a $( has no ); close it")
        if syntax.backslash_escapes and number < len(pieces) - 1 and (len(piece) - len(piece.rstrip("\\"))) % 2:
            # A backslash before the variable escaped its "$", which is nothing special.
            piece = piece[:-1]
        if piece:
            expressions.append((_single_quoted(piece, token[0]),))
    if not expressions:
        return ("''",)
    return expressions[0] if len(expressions) == 1 else syntax.concatenate(expressions)


def _single_quoted(raw: str, quote: str) -> str:
    """Return the inside of a literal in single quotes; a name in double quotes would be one in standard SQL."""
    if quote == '"':
        raw = re.sub(r"(?<!\\)'", "''", raw.replace('""', '"'))
    return f"'{raw}'"


def _reject_names(parts: Sequence[Part]) -> None:
    """Refuse a bare variable that is glued to a name: values can be bound, tables and columns can't."""
    for number, part in enumerate(parts):
        if not isinstance(part, Parameter):
            continue
        before = parts[number - 1] if number else ""
        after = parts[number + 1] if number + 1 < len(parts) else ""
        if (isinstance(before, str) and re.search(r"[\w.]$", before)) or (
            isinstance(after, str) and re.match(r"[\w.]", after)
        ):
            raise ClauseError(f"$({part.name}) can't be part of a table's or column's name; compare a column with it")
