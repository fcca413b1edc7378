"""The lines of authdaemonrc, as Courier reads them.

Courier reads the file twice.  Its daemon takes ``authmodulelist`` and ``daemons`` from it line by line, by rules of its own:
the name stands in the first column, ``#`` cuts the line even between quotes, and a value in double quotes ends at the next
double quote.  Its start script has a shell source the file, which sets everything else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from authd.config.concealed import before_secret, known_word
from authd.config.problem import Problem
from authd.config.shell import UNCLOSED, Assignment, Script, read_script
from authd.numbers import atoi

READ_BY_DAEMON = ("authmodulelist", "daemons")
"""The settings that Courier's daemon reads; everything else is what a shell makes of it."""

BLANKS = " \t\n\v\f\r"
"""What isspace(3) takes for a blank in the C locale."""

MAX_LINE_BYTES = 8190
"""Courier's daemon takes what comes behind that for another line."""

_BYTE_ORDER_MARK = "\ufeff"
_BLANK_BEFORE_EQUALS = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]+=")
_ASSIGNING_EXPANSION = re.compile(r"\$\{(\w+):?=", re.ASCII)
_PLAIN = 'write name="value" from the first column on, without blanks around ='


@dataclass(frozen=True, slots=True)
class Given:
    """One setting as it stands in the file.

    :param value: without its quotes.
    :param line: from 1.
    """

    name: str
    value: str
    line: int


@dataclass(slots=True)
class Reading:
    """The assignments of an authdaemonrc, and the problems with how they are written."""

    given: list[Given] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def read_assignments(content: str, file: Path, known: Iterable[str]) -> Reading:
    """Return the settings that Courier would find in `content`.

    :param file: for messages.
    :param known: the settings whose loss is worth a remark.
    """
    reading = Reading()

    def tell(problem: str, mend: str, line: int | None = None, setting: str = "", fatal: bool = True) -> None:
        reading.problems.append(Problem(file, problem, mend, line, setting, fatal))

    if content.startswith(_BYTE_ORDER_MARK):
        tell("begins with a byte order mark, which hides the first line from Courier", "save the file without it", 1)
        content = content.removeprefix(_BYTE_ORDER_MARK)
    if "\0" in content:
        tell("has a NUL byte", "remove it", content.count("\n", 0, content.index("\0")) + 1)
    if "\r\n" in content:
        number = content.count("\n", 0, content.index("\r\n")) + 1
        tell("lines end with CR LF; the CR is left out", "save the file with LF alone", number, fatal=False)
        content = content.replace("\r\n", "\n")
    script = read_script(content)
    if script.broken is not None:
        line, what = script.broken
        mend = "correct the quotes" if what == UNCLOSED else 'write lines of name="value" alone'
        tell(f"{what}, and a shell gives up here" if what == UNCLOSED else what, mend, line)
    by_daemon = list(_as_daemon(content, file, reading.problems, known))
    reading.given = by_daemon + [given for given in as_shell(script) if given.name not in READ_BY_DAEMON]
    reading.problems += _differing(by_daemon, script, file)
    reading.problems += _lost(content, script, file, frozenset(known))
    return reading


def as_shell(script: Script) -> Iterator[Given]:
    """Yield what a shell sets, as far as it can be told."""
    for assignment in script.assignments:
        if assignment.value is not None and not assignment.lost:
            yield Given(assignment.name, assignment.value, assignment.line)


def _as_daemon(content: str, file: Path, problems: list[Problem], known: Iterable[str]) -> Iterator[Given]:
    """Yield what Courier's daemon reads; add the lines that it refuses to `problems`, without their text, perhaps a password."""
    for number, line in enumerate(content.split("\n"), 1):
        if len(line.encode("utf-8", "surrogateescape")) > MAX_LINE_BYTES:
            problems.append(Problem(file, f"longer than {MAX_LINE_BYTES} bytes", "make it shorter", number))
            continue
        text = line.partition("#")[0]
        name, equals, value = text.partition("=")
        if not text.strip(BLANKS):
            continue
        if not equals:
            mend = 'write name="value", or # before a remark'
            word = known_word(text, known)
            problems.append(Problem(file, f'no "=" behind {word}' if word else 'no "=" in this line', mend, number))
        elif name in READ_BY_DAEMON:
            yield Given(name, _unquoted(value.lstrip(BLANKS)), number)


def _unquoted(value: str) -> str:
    return value[1:].partition('"')[0] if value.startswith('"') else value.rstrip(BLANKS)


def _differing(by_daemon: Iterable[Given], script: Script, file: Path) -> Iterator[Problem]:
    """Yield a remark where Courier's daemon takes a line for something else than it seems to say."""
    by_shell = {assignment.line: assignment for assignment in script.assignments}
    for given in by_daemon:
        meant = by_shell.get(given.line)
        if meant is None or meant.name != given.name or _same(given, meant):
            continue
        yield Problem(
            file,
            f'taken for "{shown(given.value)}", as by Courier, which ends a value at the second double quote or at #',
            f'write {given.name}="value", all of the value between two double quotes',
            given.line,
            given.name,
            fatal=False,
        )


def _same(given: Given, meant: Assignment) -> bool:
    """Tell whether what Courier's daemon reads is what a shell reads, as far as it matters."""
    if meant.lost or meant.value is None:
        return False
    if given.name == "daemons":
        return _number(meant.value) == _number(given.value)
    return meant.value.split() == given.value.split()


def _number(value: str) -> int:
    return atoi(value.encode("utf-8", "surrogateescape"))


def _lost(content: str, script: Script, file: Path, known: frozenset[str]) -> Iterator[Problem]:
    """Yield what is wrong with lines that seem to set something known, but do not; an error where Courier does not know it."""
    lines = content.split("\n")
    for assignment in script.assignments:
        name = assignment.name
        if name not in known or name in READ_BY_DAEMON:
            continue
        if assignment.value is None:
            yield _untold(name, assignment.line, file)
        elif assignment.lost:
            yield _without_effect(name, "a blank before or within its value makes it", assignment.line, file)
    yield from _in_commands(lines, script, file, known)
    for number, line in enumerate(lines, 1):
        match = _BLANK_BEFORE_EQUALS.match(line)
        if match is not None and match[1] in known:
            yield _without_effect(match[1], "a blank before = makes it", number, file)
        elif re.match(r"[ \t\v\f]+(authmodulelist|daemons)=|export[ \t]+(authmodulelist|daemons)=", line):
            name = next(name for name in READ_BY_DAEMON if name in line.partition("=")[0])
            yield Problem(
                file,
                "without effect, as in Courier, since the name is not in the first column",
                _PLAIN,
                number,
                name,
                False,
            )


def _in_commands(lines: list[str], script: Script, file: Path, known: frozenset[str]) -> Iterator[Problem]:
    """Yield what is wrong with commands that name a setting and assign nothing, such as ``"NAME=value"`` or ``NAME+=value``."""
    told = {assignment.line for assignment in script.assignments if assignment.name in known}
    for number, line in enumerate(lines, 1):
        match = None if line.lstrip().startswith("#") else _ASSIGNING_EXPANSION.search(line)
        if match is not None and match[1] in known and number not in told:
            told.add(number)
            yield _untold(match[1], number, file)
    for number in dict.fromkeys(script.commands):
        line = lines[number - 1].partition("#")[0]
        words = re.findall(r"\w+", line, re.ASCII)
        name = next((word for word in words if word in known and word not in READ_BY_DAEMON), "")
        if number in told or _BLANK_BEFORE_EQUALS.match(line):
            continue
        if name:
            yield _without_effect(name, "what is around it makes it", number, file)
        elif words and words[0].startswith("disable"):
            what = "without effect; it seems to belong to DEFAULTOPTIONS"
            yield Problem(file, what, "write all options in one pair of quotes on one line", number, words[0], False)


def _untold(name: str, line: int, file: Path) -> Problem:
    return Problem(file, "has a value that only a shell could tell", "write the value itself", line, name)


def _without_effect(name: str, reason: str, line: int, file: Path) -> Problem:
    ours = name.startswith("AUTHD_") or name == "authdaemonvar"
    return Problem(file, f"without effect: {reason} a command to a shell", _PLAIN, line, name, fatal=ours)


def shown(value: str) -> str:
    """Return the beginning of `value`, printable, without what may be a password."""
    return before_secret(value).encode("unicode_escape", "surrogateescape").decode("ascii", "replace")[:60]
