"""String literals of each engine that have variables in them: what they say, and how a value is bound in their place."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from authd.modules.sqltokens import Token

_E_ESCAPE = re.compile(
    r"((?:\\(?:u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}))+)|\\(?:x([0-9a-fA-F]{1,2})|([0-7]{1,3})|(.))", re.DOTALL
)
_U_ESCAPE = re.compile(r"\\(?:\+([0-9a-fA-F]{6})|([0-9a-fA-F]{4})|(\\)|(.?))", re.DOTALL)
_CODE = re.compile(r"\\[uU]([0-9a-fA-F]+)")
_CONTROLS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class LiteralError(ValueError):
    """A literal that no value can be bound in; the text says what to mend."""


def inside(token: Token) -> str:
    """Return what is between the quotes of a literal, as it stands there."""
    if token.prefix.startswith("$"):
        return token.text[len(token.prefix) : -len(token.prefix)]
    return token.text[len(token.prefix) + 1 : -1]


def refuse_digits(token: Token) -> None:
    """Refuse a variable in a hexadecimal or binary literal, whose digits can't be bound."""
    kind = token.prefix.strip().lower()
    if kind in ("x", "b"):
        mend = "convert a string instead"
        if kind == "x":
            mend += ": unhex('$(domain)') in MySQL, decode('$(domain)', 'hex') in PostgreSQL"
        raise LiteralError(f"a variable can't be part of a {token.prefix}'...' literal; {mend}")


def postgresql_reader(token: Token) -> Callable[[str], str]:
    """Return what reads a piece of a literal of PostgreSQL's."""
    kind = token.prefix.lower()
    if kind.startswith("$"):
        return str
    return {"e": _read_e, "u&": _read_u}.get(kind, _read_plain)


def _read_plain(raw: str) -> str:
    return raw.replace("''", "'")


def _read_e(raw: str) -> str:
    def character(match: re.Match[str]) -> str:
        codes, hexadecimal, octal, other = match.groups()
        if codes:
            return _whole("".join(_character(code, "E") for code in _CODE.findall(codes)), "E")
        if hexadecimal or octal:
            number = int(hexadecimal, 16) if hexadecimal else int(octal, 8) & 0xFF
            return _character(f"{number:x}", "E") if number < 128 else chr(0xDC00 + number)
        return _CONTROLS.get(other, other)

    # A byte of more than 7 bits is a surrogate, as in the rest of a file, and pieces of a character become one.
    text = _E_ESCAPE.sub(character, raw.replace("''", "'"))
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


def _read_u(raw: str) -> str:
    def character(match: re.Match[str]) -> str:
        long, short, backslash, other = match.groups()
        if other is not None:
            raise LiteralError(
                "a U&'...' literal has a backslash that escapes nothing; write four hexadecimal digits behind it"
            )
        return backslash or _character(long or short, "U&")

    return _whole(_U_ESCAPE.sub(character, raw.replace("''", "'")), "U&")


def _character(digits: str, prefix: str) -> str:
    number = int(digits, 16)
    if not 0 < number < 0x110000:
        raise LiteralError(f"a {prefix}'...' literal has a code that no character has; write that of a character")
    return chr(number)


def _whole(text: str, prefix: str) -> str:
    """Return `text` with two halves of a character, as UTF-16 has them, as one."""
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise LiteralError(
            f"a {prefix}'...' literal has half a character; write both halves, or its whole code"
        ) from None


def needs_type(before: Sequence[Token], after: Sequence[Token], calls: Sequence[str]) -> bool:
    """Tell whether PostgreSQL, which types a literal that stands there, would not know the type of a parameter.

    :param before: the words in front of it, blanks and comments left out.
    :param after: the words behind it.
    :param calls: names of the functions whose arguments it is in, the innermost last.
    """
    if after and after[0].text.lower() in ("is", "isnull", "notnull"):
        return True
    is_argument = bool(before) and before[-1].text in "(," and bool(after) and after[0].text in "),"
    return is_argument and bool(calls) and calls[-1] in _OF_ANY_TYPE


_OF_ANY_TYPE = frozenset(
    {
        "concat",
        "concat_ws",
        "format",
        "count",
        "json_build_array",
        "json_build_object",
        "jsonb_build_array",
        "jsonb_build_object",
        "num_nonnulls",
        "num_nulls",
        "pg_typeof",
        "row",
        "to_json",
        "to_jsonb",
    }
)

BEFORE_A_LITERAL = frozenset(
    "all and any between both by case distinct else end escape except for from having if ilike in intersect is like limit "  # noqa: SIM905
    "leading not offset on or order overlay placing regexp returning rlike select set similar some then to trailing union "
    "using values when where with xor zone div mod glob match as return interval binary".split()
) - {"interval"}
"""Keywords that a string literal may follow; behind any other word it is a typed one, such as ``date '2020-01-01'``."""

BEFORE_A_NAME = frozenset({"@", "as", "collate", "separator", "path", "outfile", "dumpfile"})
"""What an engine has a name behind, or a text that nothing is computed for."""
