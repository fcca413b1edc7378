"""The words of an SQL expression, as each engine tells them apart."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """The kind of a token."""

    BLANK = "blank"
    COMMENT = "comment"
    STRING = "string"
    NAME = "name in quotes"
    WORD = "name, keyword or number"
    SYMBOL = "symbol"
    VARIABLE = "variable"


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of SQL.

    :param text: as it stands there; of a variable, its name.
    :param prefix: what a string literal has before its quote, such as ``N`` or ``_utf8mb4``, or of ``$tag$``, the tag.
    :param is_open: whether a quote, a comment, or ``$(`` has no end.
    """

    kind: Kind
    text: str
    prefix: str = ""
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Lexicon:
    """How an engine writes literals, names and comments.

    :param string_quotes: quotes of string literals.
    :param name_quotes: quotes of names; ``[`` is closed by ``]``.
    :param escaping: prefixes, in lower case, of the literals in which a backslash escapes the next character; the empty one is
        for those without a prefix.
    :param prefix: matches what may be before the quote of a string literal, the quote not included.
    :param line_comment: matches the beginning of a comment that ends with the line.
    :param nested_comments: whether a comment can contain another.
    :param dollar_quotes: whether ``$tag$…$tag$`` is a string literal.
    :param code_comment: matches the beginning of a comment whose text is run.
    :param comments_may_be_open: whether a comment may go on to the end of the text.
    :param joins_literals: whether literals that follow each other are one.
    :param names_may_be_strings: whether what is in double quotes is a string where there is no such name.
    :param typed_literals: words that make the literal behind them another type's.
    :param parameter_marks: symbols that begin a parameter.
    """

    string_quotes: str
    name_quotes: str
    escaping: frozenset[str]
    prefix: re.Pattern[str]
    line_comment: re.Pattern[str]
    nested_comments: bool = False
    dollar_quotes: bool = False
    code_comment: re.Pattern[str] | None = None
    comments_may_be_open: bool = False
    joins_literals: bool = False
    names_may_be_strings: bool = False
    typed_literals: frozenset[str] = frozenset()
    parameter_marks: str = ""


VARIABLE = re.compile(r"\$\(([^)]*)\)")
_WORD = re.compile(r"[\w\x80-\U0010ffff]+(?:\$+[\w\x80-\U0010ffff]+)*", re.ASCII)
"""Every character beyond ASCII is a letter to the engines, U+00A0 as well."""
_BLANKS = re.compile(r"\s+", re.ASCII)
_DOLLAR_QUOTE = re.compile(r"\$(?:[a-zA-Z_\x80-\U0010ffff][\w\x80-\U0010ffff]*)?\$", re.ASCII)


def tokens(text: str, lexicon: Lexicon) -> Iterator[Token]:
    """Yield what `text` consists of; a token without an end goes as far as the text."""
    position = 0
    while position < len(text):
        token, position = _token(text, position, lexicon)
        yield token


def _token(text: str, start: int, lexicon: Lexicon) -> tuple[Token, int]:
    if blanks := _BLANKS.match(text, start):
        return Token(Kind.BLANK, blanks[0]), blanks.end()
    if lexicon.code_comment and (opening := lexicon.code_comment.match(text, start)):
        return Token(Kind.SYMBOL, opening[0]), opening.end()
    if text.startswith("/*", start):
        end = _end_of_comment(text, start, lexicon.nested_comments)
        return Token(Kind.COMMENT, text[start : end or None], is_open=end == 0), end or len(text)
    if lexicon.line_comment.match(text, start):
        end = text.find("\n", start) + 1 or len(text)
        return Token(Kind.COMMENT, text[start:end]), end
    if text.startswith("$(", start):
        variable = VARIABLE.match(text, start)
        if variable is None:
            return Token(Kind.VARIABLE, text[start:], is_open=True), len(text)
        return Token(Kind.VARIABLE, variable[1]), variable.end()
    if lexicon.dollar_quotes and (tag := _DOLLAR_QUOTE.match(text, start)):
        end = text.find(tag[0], tag.end())
        end_of_token = len(text) if end < 0 else end + len(tag[0])
        return Token(Kind.STRING, text[start:end_of_token], tag[0], end < 0), end_of_token
    prefix = lexicon.prefix.match(text, start)
    at = prefix.end() if prefix else start
    quote = text[at : at + 1]
    if quote and quote in lexicon.string_quotes + lexicon.name_quotes:
        is_string = quote in lexicon.string_quotes
        before = text[start:at]
        folded = before.strip().lower()
        escapes = is_string and ("_" if folded.startswith("_") else folded) in lexicon.escaping
        end = _end_of_quoted(text, at, "]" if quote == "[" else quote, escapes)
        kind = Kind.STRING if is_string else Kind.NAME
        return Token(kind, text[start : end or None], before, end == 0), end or len(text)
    if word := _WORD.match(text, start):
        return Token(Kind.WORD, word[0]), word.end()
    return Token(Kind.SYMBOL, text[start]), start + 1


def _end_of_comment(text: str, start: int, nested: bool) -> int:
    """Return the position after the comment that begins at `start`; 0 if it has no end."""
    depth = 0
    for mark in re.finditer(r"/\*|\*/", text[start:]):
        if mark[0] == "*/":
            depth -= 1
        elif depth == 0 or nested:
            depth += 1
        if depth == 0:
            return start + mark.end()
    return 0


def _end_of_quoted(text: str, opening: int, quote: str, escapes: bool) -> int:
    """Return the position after the literal or name whose quote is at `opening`; 0 if it has no end."""
    position = opening + 1
    while position < len(text):
        if text[position] == "\\" and escapes:
            position += 2
        elif text[position] != quote:
            position += 1
        elif quote != "]" and text[position + 1 : position + 2] == quote:
            position += 2
        else:
            return position + 1
    return 0


_NO_PREFIX = re.compile(r"(?!)")
MYSQL_LEXICON = Lexicon(
    string_quotes="'\"",
    name_quotes="`",
    escaping=frozenset({"", "n", "_"}),
    # An introducer may have blanks behind it; the others are a part of the literal.
    prefix=re.compile(r"(?:_[a-z0-9]\w*\s*(?=['\"])|[nxb](?='))", re.IGNORECASE | re.ASCII),
    line_comment=re.compile(r"#|--(?=[\x00-\x20]|$)"),
    code_comment=re.compile(r"/\*M?![0-9]*"),
    joins_literals=True,
    typed_literals=frozenset({"date", "time", "timestamp"}),
)
POSTGRESQL_LEXICON = Lexicon(
    string_quotes="'",
    name_quotes='"',
    escaping=frozenset({"e"}),
    prefix=re.compile(r"(?:[enxb](?=')|u&(?=['\"]))", re.IGNORECASE | re.ASCII),
    line_comment=re.compile("--"),
    nested_comments=True,
    dollar_quotes=True,
    parameter_marks="$",
)
SQLITE_LEXICON = Lexicon(
    string_quotes="'",
    name_quotes='"`[',
    escaping=frozenset(),
    prefix=re.compile(r"x(?=')", re.IGNORECASE | re.ASCII),
    line_comment=re.compile("--"),
    comments_may_be_open=True,
    names_may_be_strings=True,
    parameter_marks="?:@$#",
)
