"""Whether several users can be asked for by one query: only what is certain to mean the same is.

The default query says ``login = 'user'``, the login's expression bare; a query for many says ``login IN (…)`` and
``CASE login WHEN …``.  Operators bind differently there, functions may give another value each time, and a clause may reach
beyond its row, so that expressions are taken by what is known of them, and never by what is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from authd.modules.sqltokens import (
    MYSQL_LEXICON,
    POSTGRESQL_LEXICON,
    SQLITE_LEXICON,
    Kind,
    Lexicon,
    Token,
    tokens,
)

_FUNCTIONS = frozenset(
    [
        "abs",
        "cast",
        "ceil",
        "ceiling",
        "char_length",
        "character_length",
        "coalesce",
        "concat",
        "concat_ws",
        "floor",
        "hex",
        "instr",
        "length",
        "lower",
        "ltrim",
        "md5",
        "mod",
        "nullif",
        "octet_length",
        "replace",
        "round",
        "rtrim",
        "substr",
        "substring",
        "trim",
        "upper",
    ]
)
"""Functions of a row's values alone, which every engine has or none lets a site define in their place."""

_OPERATORS = frozenset(
    [
        "and",
        "as",
        "between",
        "case",
        "cross",
        "div",
        "else",
        "end",
        "escape",
        "ilike",
        "in",
        "inner",
        "is",
        "join",
        "left",
        "like",
        "not",
        "null",
        "on",
        "or",
        "outer",
        "right",
        "then",
        "using",
        "when",
        "xor",
        "regexp",
        "rlike",
        "glob",
        "true",
        "false",
    ]
)
"""Keywords that a parenthesis may follow and that look at no other row."""

_FORBIDDEN = frozenset(
    [
        "all",
        "any",
        "array",
        "binary",
        "collate",
        "current_catalog",
        "current_date",
        "current_role",
        "current_schema",
        "current_time",
        "current_timestamp",
        "current_user",
        "distinct",
        "except",
        "exists",
        "fetch",
        "filter",
        "for",
        "force",
        "from",
        "group",
        "having",
        "ignore",
        "interval",
        "intersect",
        "into",
        "lateral",
        "limit",
        "localtime",
        "localtimestamp",
        "lock",
        "match",
        "minus",
        "natural",
        "next",
        "nextval",
        "offset",
        "only",
        "order",
        "over",
        "partition",
        "procedure",
        "returning",
        "rownum",
        "row",
        "rows",
        "select",
        "session_user",
        "set",
        "some",
        "straight_join",
        "sysdate",
        "system_user",
        "table",
        "tablesample",
        "top",
        "union",
        "use",
        "utc_date",
        "utc_time",
        "utc_timestamp",
        "values",
        "where",
        "window",
        "with",
        "within",
    ]
)
"""Keywords that reach beyond a row, or whose value is no row's."""

_SYMBOLS = frozenset("()=<>!+-*/%|&,.:~")


class _NotKnownError(Exception):
    """An expression is of a kind that nothing is known of."""


@dataclass(frozen=True, slots=True)
class Certain:
    """The certainties of an engine.

    :param lexicon: how it tells words apart.
    :param functions: of a row's values alone, that a site can't define in their place.
    :param forbidden: more names whose value is no row's.
    :param concatenates: whether ``||`` concatenates, and binds more tightly than a comparison.
    """

    lexicon: Lexicon
    functions: frozenset[str]
    forbidden: frozenset[str]
    concatenates: bool

    def is_joinable(self, login: str, expressions: Sequence[str], table: str) -> bool:
        """Tell whether a query for many is certain to give what queries for each give.

        :param login: expression that is compared with the user.
        :param expressions: the others, the condition among them.
        """
        return self._is_login(login) and all(self._is_of_one_row(text) for text in (*expressions, table))

    def _is_login(self, text: str) -> bool:
        """Tell whether `text` is a name, a call, or a concatenation of such and of literals.

        It has no other operator, so that it is the same operand to ``=``, to ``IN`` and to ``CASE``.
        """
        words = self._words(text)
        # A literal is the same for all rows.
        if not words or words[0].kind is Kind.STRING or not self._calls_are_known(words):
            return False
        try:
            return self._after_expression(words, 0) == len(words)
        except (_NotKnownError, IndexError):
            return False

    def _after_expression(self, words: Sequence[Token], at: int) -> int:
        """Return the place after the operands that are concatenated from place `at` on."""
        at = self._after_operand(words, at)
        while self.concatenates and [word.text for word in words[at : at + 2]] == ["|", "|"]:
            at = self._after_operand(words, at + 2)
        return at

    def _after_operand(self, words: Sequence[Token], at: int) -> int:
        first = words[at]
        if first.text == "(":
            return self._after_list(words, at)
        if first.kind is Kind.STRING:
            return at + 1
        at = _after_name(words, at)
        while _text(words, at) == ".":
            at = _after_name(words, at + 1)
        return self._after_list(words, at) if _text(words, at) == "(" else at

    def _after_list(self, words: Sequence[Token], at: int) -> int:
        """Return the place after the parenthesis that is at place `at` and what is in it."""
        at = self._after_expression(words, at + 1)
        while words[at].text == ",":
            at = self._after_expression(words, at + 1)
        if words[at].text != ")":
            raise _NotKnownError
        return at + 1

    def _is_of_one_row(self, text: str) -> bool:
        """Tell whether `text` is about one row, and of one value for it."""
        words = self._words(text)
        return words is not None and self._calls_are_known(words)

    def _words(self, text: str) -> list[Token] | None:
        """Return the words of `text`; ``None`` if one of them is not certain to be harmless, or parentheses don't match."""
        words = []
        depth = 0
        for token in tokens(text, self.lexicon):
            if token.kind is Kind.BLANK:
                continue
            if token.is_open or token.kind in (Kind.COMMENT, Kind.VARIABLE):
                return None
            if token.kind in (Kind.STRING, Kind.NAME) and "\\" in token.text:
                # Where a literal ends that has a backslash in it, settings of the server decide.
                return None
            if token.kind is Kind.STRING and token.prefix:
                return None
            if token.kind is Kind.WORD and token.text.lower() in _FORBIDDEN | self.forbidden:
                return None
            if token.kind is Kind.SYMBOL:
                if token.text not in _SYMBOLS:
                    return None
                depth += {"(": 1, ")": -1}.get(token.text, 0)
                if depth < 0:
                    return None
            words.append(token)
        colons = sum(word.text == ":" for word in words)
        casts = sum(one.text == other.text == ":" for one, other in pairwise(words))
        # Of colons there are two in a cast; one is a parameter's or an assignment's.
        return None if depth or colons != 2 * casts else words

    def _calls_are_known(self, words: Sequence[Token]) -> bool:
        """Tell whether every function in `words` is one of a row's values alone."""
        for number, word in enumerate(words[1:], 1):
            before = words[number - 1]
            if word.text != "(" or before.kind not in (Kind.WORD, Kind.NAME):
                continue
            is_qualified = number > 1 and words[number - 2].text == "."
            name = before.text.lower()
            if before.kind is Kind.NAME or is_qualified or name not in self.functions | _OPERATORS:
                return False
        return True


def _after_name(words: Sequence[Token], at: int) -> int:
    word = words[at]
    if word.kind not in (Kind.WORD, Kind.NAME) or word.text.lower() in _OPERATORS:
        raise _NotKnownError
    return at + 1


def _text(words: Sequence[Token], at: int) -> str:
    return words[at].text if at < len(words) else ""


MYSQL_CERTAIN = Certain(
    MYSQL_LEXICON,
    _FUNCTIONS
    | frozenset(
        [
            "elt",
            "field",
            "if",
            "ifnull",
            "insert",
            "lcase",
            "left",
            "locate",
            "lpad",
            "mid",
            "ord",
            "repeat",
            "reverse",
            "right",
            "rpad",
            "sha1",
            "substring_index",
            "ucase",
        ]
    ),
    frozenset(),
    concatenates=False,
)
POSTGRESQL_CERTAIN = Certain(
    POSTGRESQL_LEXICON,
    _FUNCTIONS - {"hex", "instr", "concat_ws"}
    | frozenset(
        [
            "btrim",
            "initcap",
            "left",
            "lpad",
            "position",
            "repeat",
            "reverse",
            "right",
            "rpad",
            "split_part",
            "strpos",
            "translate",
        ]
    ),
    frozenset({"user"}),
    concatenates=True,
)
SQLITE_CERTAIN = Certain(
    SQLITE_LEXICON,
    _FUNCTIONS - {"char_length", "character_length", "concat_ws", "md5", "mod"} | {"ifnull", "iif", "printf"},
    frozenset(),
    concatenates=True,
)
