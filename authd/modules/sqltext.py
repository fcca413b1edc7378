"""An administrator's SQL clause into a statement with bound parameters.

The clause is trusted and goes in as it is; what a client sent never becomes part of the text.  A variable on its own is a
parameter, and one within a string literal makes the literal an expression::

    WHERE user = $(local_part)            WHERE user = ?
    WHERE user = '$(local_part)'          WHERE user = ?
    WHERE mail = 'x$(domain)y'            WHERE mail = concat('x', ?, 'y')

PostgreSQL gets the whole literal's value in one parameter, which takes its type from what is around it as a literal does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from authd.modules.joinable import MYSQL_CERTAIN, POSTGRESQL_CERTAIN, SQLITE_CERTAIN, Certain
from authd.modules.sqlliterals import (
    BEFORE_A_LITERAL,
    BEFORE_A_NAME,
    LiteralError,
    inside,
    needs_type,
    postgresql_reader,
    refuse_digits,
)
from authd.modules.sqltokens import VARIABLE, Kind, Lexicon, Token, tokens


@dataclass(frozen=True, slots=True)
class Parameter:
    """A place in a statement where a value is bound.

    :param name: of the variable: local_part, domain, service, newpass, newpass_crypt; of one that is made of `pieces`, another.
    :param pieces: texts and variables that the value is made of; empty for one variable.
    """

    name: str
    pieces: tuple[str | Parameter, ...] = ()


Part = str | Parameter
Statement = tuple[Part, ...]


class ClauseError(ValueError):
    """A clause that no statement can be made from; the text says what to mend."""


@dataclass(frozen=True, slots=True)
class Syntax:
    """How a kind of database writes SQL.

    :param concatenate: joins SQL expressions, each a list of parts, into one that concatenates them.
    :param binds_literals: whether a literal with variables becomes one parameter, and not an expression.
    :param paramstyle: how the driver marks parameters; see `render`.
    :param one_in_20: SQL condition that is true for a random row in 20.
    :param certain: which expressions are certain to mean the same in a query for many.
    :param over_network: whether statements and answers go over a connection to a server.
    """

    concatenate: Callable[[Sequence[Statement]], Statement]
    paramstyle: str
    one_in_20: str
    certain: Certain
    binds_literals: bool = False
    over_network: bool = True

    @property
    def lexicon(self) -> Lexicon:
        """How the engine tells words apart."""
        return self.certain.lexicon


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
    concatenate=_mysql_concatenate,
    paramstyle="pyformat",
    one_in_20="rand() < 0.05",
    certain=MYSQL_CERTAIN,
)
SQLITE = Syntax(
    concatenate=_standard_concatenate,
    paramstyle="named",
    one_in_20="abs(random() / 10) % 20 = 0",
    certain=SQLITE_CERTAIN,
    over_network=False,
)
POSTGRESQL = Syntax(
    concatenate=_standard_concatenate,
    paramstyle="format",
    one_in_20="random() < 0.05",
    certain=POSTGRESQL_CERTAIN,
    binds_literals=True,
)


def substitute(clause: str, variables: Iterable[str], syntax: Syntax) -> Statement:
    """Return the statement of `clause`.

    :param variables: names that have a value here; any other name stands for nothing, as in Courier.
    :raises ClauseError: if a variable stands where no value can be bound.
    """
    known = frozenset(variables)
    words = list(tokens(clause, syntax.lexicon))
    parts: list[Part] = []
    place = 0
    try:
        while place < len(words):
            end = _end_of_literal(words, place, syntax)
            parts += _parts_of(words, place, end, known, syntax)
            place = end
    except LiteralError as error:
        raise ClauseError(str(error)) from None
    return tuple(parts)


def _end_of_literal(words: Sequence[Token], place: int, syntax: Syntax) -> int:
    """Return the place after the token at `place`; where literals that follow each other are one, after the last of them."""
    end = place + 1
    while words[place].kind is Kind.STRING and syntax.lexicon.joins_literals:
        following = next((at for at in range(end, len(words)) if words[at].kind not in _SILENT), len(words))
        # One with a prefix is no part of the literal before it.
        if following == len(words) or words[following].kind is not Kind.STRING or words[following].prefix:
            break
        end = following + 1
    return end


def _parts_of(words: Sequence[Token], place: int, end: int, known: frozenset[str], syntax: Syntax) -> Iterable[Part]:
    """Return what the token at `place`, or the literals up to `end`, become."""
    word = words[place]
    if word.is_open and not (word.kind is Kind.COMMENT and syntax.lexicon.comments_may_be_open):
        raise ClauseError(_unfinished(word))
    if word.kind is Kind.VARIABLE:
        _refuse_as_part_of_a_name(words, place)
        return [Parameter(word.text)] if word.text in known else []
    if not any("$(" in one.text for one in words[place:end]):
        _refuse_parameter(word, words[place + 1 : place + 2], syntax)
        return ["".join(one.text for one in words[place:end])]
    if word.kind is Kind.COMMENT:
        return [VARIABLE.sub("", word.text)]
    if word.kind is Kind.NAME and not (word.text[0] == '"' and syntax.lexicon.names_may_be_strings):
        raise ClauseError("a variable can't be part of a quoted name; compare a column with it instead")
    literals = [one for one in words[place:end] if one.kind in (Kind.STRING, Kind.NAME)]
    for literal in literals:
        refuse_digits(literal)
        if any("$(" in piece for piece in VARIABLE.split(literal.text)[::2]):
            raise ClauseError("a $( has no ); close it")
    before, after = _around(words, place, end, known)
    if syntax.binds_literals:
        parts = _bound_literal(literals[0], known, before, after)
    else:
        parts = _literal(literals, known, syntax)
        _refuse_typed(before, parts, syntax)
    return [*_blank_between(words[place - 1 : place]), *parts, *_blank_between(words[end : end + 1])]


def _around(words: Sequence[Token], place: int, end: int, known: frozenset[str]) -> tuple[list[Token], list[Token]]:
    """Return the words before and after a literal, without blanks, comments and variables that stand for nothing."""
    before, after = (
        [one for one in some if one.kind not in _SILENT and (one.kind is not Kind.VARIABLE or one.text in known)]
        for some in (words[:place], words[end:])
    )
    return before, after


def _blank_between(neighbour: Sequence[Token]) -> list[str]:
    """Return a blank where a word touches a literal, as it may."""
    return [" "] if neighbour and neighbour[0].kind is Kind.WORD else []


def _bound_literal(literal: Token, known: frozenset[str], before: Sequence[Token], after: Sequence[Token]) -> Statement:
    """Return the parameter whose value is that of a literal with variables in it."""
    previous = before[-1] if before else None
    if previous is not None and (
        previous.kind in (Kind.NAME, Kind.STRING)
        or (previous.kind is Kind.WORD and previous.text.lower() not in BEFORE_A_LITERAL)
    ):
        raise ClauseError(
            f"a variable can't be part of a literal behind {previous.text}; write cast('...' AS type), or '...'::type"
        )
    if after and after[0].text.lower() == "uescape":
        raise ClauseError("a variable can't be part of a literal with UESCAPE; write the characters themselves")
    read = postgresql_reader(literal)
    pieces: list[str | Parameter] = []
    for number, piece in enumerate(VARIABLE.split(inside(literal))):
        if number % 2 == 0:
            pieces += [read(piece)] if piece else []
        elif piece in known:
            pieces.append(Parameter(piece))
    if not any(isinstance(piece, Parameter) for piece in pieces):
        return (VARIABLE.sub("", literal.text),)
    only = pieces[0] if len(pieces) == 1 else None
    parameter = only if isinstance(only, Parameter) else Parameter(literal.text, tuple(pieces))
    if literal.prefix.lower() == "n":
        return ("CAST(", parameter, " AS bpchar)")
    if needs_type(before, after, _calls(before)):
        return ("CAST(", parameter, " AS text)")
    return (parameter,)


def _calls(before: Sequence[Token]) -> list[str]:
    """Return the names of the functions whose parentheses are open after `before`; empty for parentheses of no function."""
    calls: list[str] = []
    for number, word in enumerate(before):
        if word.text == "(":
            calls.append(before[number - 1].text.lower() if number and before[number - 1].kind is Kind.WORD else "")
        elif word.text == ")" and calls:
            calls.pop()
    return calls


def _refuse_typed(before: Sequence[Token], parts: Statement, syntax: Syntax) -> None:
    """Refuse a literal that is not one any more where only one can stand."""
    previous = before[-1] if before else None
    if previous is None:
        return
    if previous.kind is Kind.STRING:
        raise ClauseError("a literal with a variable follows another; write one literal")
    if _ends_a_value(previous) or previous.text.lower() in BEFORE_A_NAME:
        raise ClauseError(
            f"a variable can't be part of what follows {previous.text}, a name or a text that must stand there as it is; "
            "write it without variables"
        )
    typed = previous.kind is Kind.WORD and previous.text.lower() in syntax.lexicon.typed_literals
    if typed and len(parts) > 1:
        raise ClauseError(
            f"a variable can't be part of a literal behind {previous.text}; write cast('...' AS {previous.text})"
        )


def _ends_a_value(word: Token) -> bool:
    """Tell whether a literal behind `word` is a column's name for the answer."""
    return word.kind in (Kind.NAME, Kind.VARIABLE) or word.text == ")" or word.text[0].isdecimal()


def _refuse_as_part_of_a_name(words: Sequence[Token], place: int) -> None:
    """Refuse a bare variable that is glued to a name: values can be bound, tables and columns can't."""
    neighbours = [*words[max(place - 1, 0) : place], *words[place + 1 : place + 2]]
    if any(one.kind in (Kind.WORD, Kind.NAME) or one.text == "." for one in neighbours):
        raise ClauseError(
            f"$({words[place].text}) can't be part of a table's or column's name; compare a column with it"
        )


def refuse_parameters(expression: str, syntax: Syntax) -> None:
    """Refuse an expression that the engine would bind a value in; no variable stands in it.

    :raises ClauseError: saying which.
    """
    words = list(tokens(expression, syntax.lexicon))
    for place, word in enumerate(words):
        _refuse_parameter(word, words[place + 1 : place + 2], syntax)


def _refuse_parameter(word: Token, after: Sequence[Token], syntax: Syntax) -> None:
    """Refuse what the engine takes for a parameter of the administrator's own, which has no value."""
    if word.kind is not Kind.SYMBOL or word.text not in syntax.lexicon.parameter_marks:
        return
    if word.text == "?" or (after and (after[0].kind is Kind.WORD or after[0].text.startswith("$"))):
        raise ClauseError(f"{word.text} stands for a parameter, which has no value here; write a literal")


def _unfinished(word: Token) -> str:
    if word.kind is Kind.VARIABLE:
        return "a $( has no ); close it"
    if word.kind is Kind.COMMENT:
        return "a /* has no */; close it"
    quote = word.prefix if word.prefix.startswith("$") else word.text[len(word.prefix)]
    return f"a {quote} has no counterpart; close it"


_SILENT = (Kind.BLANK, Kind.COMMENT)


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
    text = "".join(_shown(part) if isinstance(part, Parameter) else part for part in statement)
    return " ".join([text, *(f"{name}={value!r}" for name, value in values.items())])


def _shown(parameter: Parameter) -> str:
    return parameter.name if parameter.pieces else f"$({parameter.name})"


def _literal(literals: Sequence[Token], known: frozenset[str], syntax: Syntax) -> Statement:
    """Return the expression of string literals, the first of which has the prefix of all, that have variables in them."""
    prefix = literals[0].prefix
    expressions: list[Statement] = []
    for literal in literals:
        pieces = VARIABLE.split(inside(literal))
        for number, written in enumerate(pieces):
            piece = written
            if number % 2:
                if piece in known:
                    expressions.append((prefix, Parameter(piece)) if prefix else (Parameter(piece),))
                continue
            escapes = "" in syntax.lexicon.escaping
            if escapes and number < len(pieces) - 1 and (len(piece) - len(piece.rstrip("\\"))) % 2:
                # A backslash before the variable escaped its "$", which is nothing special.
                piece = piece[:-1]
            if piece:
                expressions.append((prefix + _single_quoted(piece, literal.text[len(literal.prefix)], escapes),))
    if not expressions:
        return (f"{prefix}''",)
    return expressions[0] if len(expressions) == 1 else syntax.concatenate(expressions)


def _single_quoted(raw: str, quote: str, escapes: bool) -> str:
    """Return the inside of a literal in single quotes; a name in double quotes would be one in standard SQL."""
    if quote == '"':
        raw = raw.replace('""', '"')
        raw = (
            _ESCAPED_OR_QUOTE.sub(lambda one: "''" if one[0] == "'" else one[0], raw)
            if escapes
            else raw.replace("'", "''")
        )
    return f"'{raw}'"


_ESCAPED_OR_QUOTE = re.compile(r"\\.|'", re.DOTALL)
