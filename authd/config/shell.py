"""The assignments of a shell file, as sh(1) makes them when it sources the file.

Quoting, escapes, comments, ``;`` and the expansion of variables that the file itself sets follow POSIX.  Nothing is run: a value
that needs a command or the environment can't be told, and neither can an assignment within a compound command.  Where a command
may set anything, or end the reading, the reader gives up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=")
_BRACED = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SPECIAL = re.compile(r"[0-9@*#?$!-]")
_DECLARING = ("export", "readonly")
_COMPOUND = (
    *("if", "then", "elif", "else", "fi", "for", "while", "until", "do", "done", "case", "esac", "{", "}", "!"),
    *("unset", "command", "local"),
)
"""Words after which it can't be told without a shell whether and how often an assignment is made."""
_SPECIAL_COMMANDS = (":", "break", "continue", "set", "shift", "times", "trap")
"""POSIX's special built-ins, before which an assignment stays, but for those of `_DECLARING`, `_COMPOUND` and below."""
_SETTING_ANYTHING = ("eval", ".", "read", "getopts", "return", "exit", "exec")
"""Commands after which only a shell could tell what is set, and whether it reads on."""
_OF_A_SHELL = frozenset(
    "HOME IFS LANG LINENO LOGNAME MAIL OLDPWD OPTARG OPTIND PATH PPID PS1 PS2 PS4 PWD SHELL SHLVL TERM USER _ "  # noqa: SIM905
    "prefix exec_prefix sbindir localstatedir".split()
)
"""Variables that a shell, its environment or Courier's start script sets."""
_OPERATORS = "&|<>()"
_CLOSING = {"(": ")", "{": "}"}


@dataclass(frozen=True, slots=True)
class Assignment:
    """One assignment.

    :param name: the variable.
    :param value: what it has afterwards; ``None`` if only a shell could tell.
    :param line: where it stands, from 1.
    :param lost: whether it has no effect, since a command follows it.
    """

    name: str
    value: str | None
    line: int
    lost: bool = False


@dataclass(slots=True)
class Script:
    """The content of a file.

    :param assignments: in their order.
    :param commands: lines of commands, which are not run.
    :param broken: line at which a shell gives up, and why; ``None`` if it reads the whole file.
    """

    assignments: list[Assignment] = field(default_factory=list)
    commands: list[int] = field(default_factory=list)
    broken: tuple[int, str] | None = None


def read_script(content: str) -> Script:
    """Return the assignments of a shell file, up to where a shell gives up."""
    return _Reader(content).read()


class _Broken(Exception):
    """A shell gives up here; the arguments are those of `Script.broken`."""


UNCLOSED = "a quote or parenthesis is not closed"


@dataclass(slots=True)
class _Word:
    """A word.

    :param name: the variable that it assigns to, if it has that form.
    :param text: its text or the value; ``None`` if that can't be told.
    :param expands: whether a variable is part of it.
    """

    name: str
    text: str | None
    line: int
    expands: bool


class _Reader:
    def __init__(self, content: str) -> None:
        self._content = content
        self._place = 0
        self._variables: dict[str, str | None] = {}
        self._readonly: set[str] = set()
        self._script = Script()
        self._expands = False
        self._depth = 0
        """Parentheses around commands that are open."""

    def read(self) -> Script:
        try:
            while self._place < len(self._content):
                self._command()
        except _Broken as broken:
            self._script.broken = broken.args[0]
        else:
            self._script.broken = (self._line, UNCLOSED) if self._depth else None
        return self._script

    @property
    def _line(self) -> int:
        return self._content.count("\n", 0, self._place) + 1

    def _peek(self, length: int = 1) -> str:
        return self._content[self._place : self._place + length]

    def _command(self) -> None:
        """Read one command, and do what it says where that is to assign."""
        before = dict(self._variables)
        line = self._line
        words, has_operator = self._words()
        if not words:
            if has_operator:
                self._script.commands.append(line)
            return
        first = words[0]
        plain = [word for word in words if not word.name]
        declares = not first.name and first.text in _DECLARING
        if declares and not all(_NAME.fullmatch(word.text or "") for word in plain):
            raise _Broken((first.line, f"{first.text} takes names alone"))
        for word in plain if has_operator else plain[:1]:
            if word.text in _SETTING_ANYTHING:
                raise _Broken((word.line, f"only a shell could tell what is set behind {word.text}"))
        # A variable may turn into any number of words; what assigns before a declaring command may stay or not.
        compound = has_operator or any(word.expands for word in plain)
        compound |= bool(plain) and (plain[0].text in _COMPOUND or (plain[0].text in _DECLARING and not declares))
        compound |= bool(plain) and bool(first.name) and plain[0].text in _SPECIAL_COMMANDS
        assigns = not plain or declares
        self._refuse_readonly(words, declares)
        if not assigns or compound:
            self._script.commands.append(first.line)
            self._variables = before
        for word in words:
            if word.name and compound:
                self._variables[word.name] = None
                self._script.assignments.append(Assignment(word.name, None, word.line))
            elif word.name:
                self._script.assignments.append(Assignment(word.name, word.text, word.line, lost=not assigns))

        if any(word.text == "unset" for word in plain):
            for word in plain:
                if word.text and word.text != "unset" and _NAME.fullmatch(word.text):
                    self._variables[word.text] = None
                    self._script.assignments.append(Assignment(word.text, None, word.line))

    def _refuse_readonly(self, words: list[_Word], declares: bool) -> None:
        for word in words:
            if word.name in self._readonly:
                raise _Broken((word.line, f"{word.name} was made readonly before"))
        if declares and words[0].text == "readonly":
            self._readonly.update(word.name or word.text or "" for word in words[1:])

    def _words(self) -> tuple[list[_Word], bool]:
        """Return the words of one command, and whether there is an operator among them."""
        words: list[_Word] = []
        has_operator = False
        starts = True
        while character := self._peek():
            if character in " \t":
                self._place += 1
            elif self._peek(2) == "\\\n":
                self._place += 2
            elif character == "#":
                end = self._content.find("\n", self._place)
                self._place = len(self._content) if end < 0 else end
            elif character == "\n" or (character == ";" and words):
                self._place += 1
                break
            elif character == ";":
                raise _Broken((self._line, "a semicolon stands alone"))
            elif character in _OPERATORS:
                self._operator(starts, words)
                has_operator = starts = True
            else:
                starts = False
                words.append(self._word())
                if words[-1].name:
                    # A word may use what those before it assign.
                    self._variables[words[-1].name] = words[-1].text
        return words, has_operator

    def _operator(self, starts: bool, words: list[_Word]) -> None:
        """Pass over an operator.

        :param starts: whether a command may start here.
        :param words: those before it.
        """
        character = self._peek()
        self._place += 1
        if character == "<" and self._peek() == "<":
            raise _Broken((self._line, "only a shell could tell where << ends"))
        if character == "(" and starts:
            self._depth += 1
        elif character == "(" and not words[-1].name and self._peek() == ")":
            # The definition of a function.
            self._depth += 1
        elif character == "(":
            raise _Broken((self._line, "a ( stands within a command"))
        elif character == ")" and self._depth:
            self._depth -= 1
        elif character == ")" and not any(word.text == "case" for word in words):
            raise _Broken((self._line, "a ) has no ("))

    def _word(self) -> _Word:
        line = self._line
        self._expands = False
        match = _ASSIGNMENT.match(self._content, self._place)
        if match is not None:
            self._place = match.end()
        # A tilde is a home directory, which differs between users; in an assignment, behind a colon too.
        pieces: list[str | None] = [None] if self._peek() == "~" else []
        while (character := self._peek()) and character not in " \t\n;" + _OPERATORS:
            self._place += 1
            if character == "'":
                pieces.append(self._up_to("'", line))
            elif character == '"':
                pieces += self._double_quoted()
            elif character == "\\":
                escaped = self._peek()
                self._place += len(escaped)
                pieces.append("" if escaped == "\n" else escaped or "\\")
            elif character in "$`":
                pieces.append(self._expansion(character))
            else:
                pieces.append(None if match is not None and character == ":" and self._peek() == "~" else character)
        return _Word(match[1] if match is not None else "", _joined(pieces), line, self._expands)

    def _double_quoted(self) -> list[str | None]:
        line = self._line
        pieces: list[str | None] = []
        while character := self._peek():
            self._place += 1
            if character == '"':
                return pieces
            if character == "\\" and self._peek() and self._peek() in '$`"\\\n':
                pieces.append("" if self._peek() == "\n" else self._peek())
                self._place += 1
            elif character in "$`":
                pieces.append(self._expansion(character))
            else:
                pieces.append(character)
        raise _Broken((line, UNCLOSED))

    def _expansion(self, character: str) -> str | None:
        """Return what stands for an expansion that begins with `character`; ``None`` if only a shell could tell."""
        line = self._line
        self._expands = True
        if character == "`":
            self._up_to("`", line)
            return None
        match = _BRACED.match(self._content, self._place) or _NAME.match(self._content, self._place)
        if match is not None:
            self._place = match.end()
            if self._peek(2) == "\\\n":
                # The name goes on in the next line.
                return None
            name = match[0].strip("{}")
            return self._variables.get(name, None if name in _OF_A_SHELL else "")
        if self._peek() in _CLOSING:
            self._nested(line)
            return None
        if _SPECIAL.match(self._content, self._place):
            self._place += 1
            return None
        return "$"

    def _nested(self, line: int) -> None:
        """Pass over a ``(…)`` or ``{…}``, quotes and what is nested included."""
        opening = self._peek()
        depth = 0
        while character := self._peek():
            self._place += 1
            if character == opening:
                depth += 1
            elif character == _CLOSING[opening]:
                depth -= 1
                if depth == 0:
                    return
            elif character == "\\":
                self._place += 1
            elif character == "'" and opening == "(":
                self._up_to("'", line)
            elif character == '"':
                self._double_quoted()
        raise _Broken((line, UNCLOSED))

    def _up_to(self, end: str, line: int) -> str:
        """Return what comes before the next `end`, and pass over both."""
        place = self._content.find(end, self._place)
        if place < 0:
            raise _Broken((line, UNCLOSED))
        found = self._content[self._place : place]
        self._place = place + 1
        return found


def _joined(pieces: list[str | None]) -> str | None:
    known = [piece for piece in pieces if piece is not None]
    return "".join(known) if len(known) == len(pieces) else None
