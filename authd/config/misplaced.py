"""Lines of module files that do not do what they seem to: values that were lost, names that are none.

A value that was lost may be a restriction, without which more accounts are let in.  Such a line is an error, and so is the line
that seems to have the lost value.  Everything else is a remark, since Courier ignores it as well.  What stands in a line that is
no setting is never shown: it may be part of a password.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from authd.config.concealed import before_secret
from authd.config.nearest import nearest
from authd.config.owners import owner_of
from authd.config.problem import Problem
from authd.config.rcfile import Line
from authd.config.setting import Setting

_NAME = re.compile(r"(?:(?:MYSQL|PGSQL|SQLITE|LDAP)_|DEFAULT_DOMAIN)[A-Z0-9_]*", re.IGNORECASE)
"""The form of a setting's name, known or not."""

_LETTERS = re.compile(r"[A-Za-z0-9_]+")

_MEANT = 0.75
"""How alike a name must be to a restriction's to be taken for a slip of it."""

_BYTE_ORDER_MARK = "\ufeff"

_UNKNOWN = "unknown setting, without effect"


def misplaced(lines: Sequence[Line], table: Sequence[Setting], file: Path) -> list[Problem]:
    """Return what is wrong with `lines` of `file`, errors and remarks, whatever the values mean.

    :param lines: all settings of the file, repeated names included.
    :param table: those that there are.
    """
    settings = {setting.name: setting for setting in table}
    given = {line.name for line in reversed(lines) if line.value}
    first: dict[str, int] = {}
    problems: list[Problem] = []
    for place, line in enumerate(lines):
        setting = settings.get(line.name)
        swallowed = _swallowed(line, table, given)
        if swallowed is not None:
            problems.append(_lost_inside(swallowed, line, setting, file))
        elif setting is None:
            problems += _unknown(lines, place, settings, given, file)
        elif line.name in first:
            what = f"set before, in line {first[line.name]}, which counts"
            problems.append(Problem(file, what, "remove one", line.number, line.name, False))
        else:
            first[line.name] = line.number
            if not line.value:
                problems += _empty(setting, line, lines[place + 1 : place + 2], settings, file)
    return problems


def _swallowed(line: Line, table: Sequence[Setting], given: set[str]) -> Setting | None:
    """Return the restriction that stands within `line` and nowhere else; ``None`` if there is none.

    A backslash at the end of the line before joined them, or a word such as ``export`` is in front of it.
    """
    if _NAME.fullmatch(line.name):
        before = r"(?:^|\s)"
    elif _LETTERS.fullmatch(line.name):
        # What is further behind may be prose.
        before = "^"
    else:
        return None
    lost = (one for one in table if one.restricts and one.name not in given and one.name in line.value)
    return next((one for one in lost if re.search(rf"{before}{one.name}(?:[\s=:]|$)", line.value)), None)


def _lost_inside(lost: Setting, line: Line, setting: Setting | None, file: Path) -> Problem:
    what = f"{lost.name} stands within this line, and so has no effect"
    mend = f"begin a line with {lost.name}, and take away a backslash at the end of the line before"
    return Problem(file, what, mend, line.number, setting.name if setting is not None else "")


def _empty(
    setting: Setting, line: Line, behind: Sequence[Line], settings: Mapping[str, Setting], file: Path
) -> Iterator[Problem]:
    """Yield what is wrong with a setting without a value."""
    following = next((one for one in behind if _is_stray(one, settings)), None)
    if following is not None:
        yield Problem(
            file,
            f"has no value, and line {following.number} seems to be it",
            f"join the two lines, or end line {line.number} with a backslash",
            line.number,
            setting.name,
        )
    elif setting.restricts:
        what = "has no value, and without one it would restrict nothing"
        yield Problem(file, what, "write the value behind it, or # before the line", line.number, setting.name)
    else:
        what, mend = "has no value, and is taken as absent", "write the value behind it, or # before the line"
        yield Problem(file, what, mend, line.number, setting.name, False)


def _unknown(
    lines: Sequence[Line], place: int, settings: Mapping[str, Setting], given: set[str], file: Path
) -> Iterator[Problem]:
    """Yield what is wrong with a line whose name is none."""
    line = lines[place]
    meant = _meant(line.name, settings)
    if meant is not None:
        lost = meant.restricts and meant.name not in given
        what, mend = _slip(line.name, meant)
        yield Problem(file, what, mend, line.number, _shown(line.name, meant, what), fatal=lost)
    elif owner := _other_owner(line, settings):
        name = line.name.partition("=")[0]
        # With a secret's name, the secret itself may be joined to it.
        shown = name if before_secret(name) == name else ""
        what, mend = f"a setting of {owner}, without effect here", f"move it to {owner}, in that file's form"
        yield Problem(file, what, mend, line.number, shown, fatal=False)
    elif _is_stray(line, settings):
        before = lines[place - 1] if place else None
        if before is None or before.name not in settings:
            what, mend = "no setting, without effect", "put # before it if it is a remark"
        else:
            what = f"no setting, without effect; it seems to belong to {before.name} in line {before.number}"
            mend = "join the two lines, or end the first with a backslash"
        yield Problem(file, what, mend, line.number, fatal=False)
    else:
        secrets = [one.name for one in settings.values() if one.secret]
        name = "" if any(nearest(line.name[: len(secret)], [secret]) for secret in secrets) else line.name
        what, mend = _UNKNOWN, "correct the name, or remove the line"
        yield Problem(file, what, mend, line.number, name, fatal=False)


def _is_stray(line: Line, settings: Mapping[str, Setting]) -> bool:
    """Tell whether a line is no setting at all, known or unknown, so that it may be the rest of another."""
    is_name = _NAME.fullmatch(line.name) or _other_owner(line, settings)
    return _meant(line.name, settings) is None and not is_name


def _other_owner(line: Line, settings: Mapping[str, Setting]) -> str:
    """Return the name of the other file that a line is for, as the name of its setting tells; empty if there is none."""
    owner = owner_of(line.name.partition("=")[0])
    return "" if any(owner_of(name) == owner for name in settings) else owner


def _meant(name: str, settings: Mapping[str, Setting]) -> Setting | None:
    """Return the setting that `name` seems to be meant for; ``None`` if there is none, or it is the name itself."""
    if name in settings:
        return None
    match = _LETTERS.search(name)
    # Before or behind the letters can be a byte order mark, a control character, a quote, or an equals sign or colon in place of
    # a blank.  Other signs may be meant to begin a remark.
    is_meant = match is not None and (
        match.start() == 0 or not name[0].isascii() or not name[0].isprintable() or name[0] in "\"'-"
    )
    word = match[0] if match is not None and is_meant else ""
    if not _NAME.match(word):
        return None
    folded = {one.casefold(): one for one in settings}
    exact = folded.get(word.casefold())
    if exact is None:
        # A restriction's name that was cut short is not much like it.
        begun = (one for one in folded if settings[folded[one]].restricts and one.startswith(f"{word.casefold()}_"))
        exact = nearest(word, settings, _MEANT) or folded.get(next(begun, ""))
    return settings[exact] if exact is not None else None


def _slip(name: str, meant: Setting) -> tuple[str, str]:
    """Return what is wrong with a name that is meant for a known setting, and the mend."""
    mend = "correct the name, or put # before the line"
    if name.startswith(_BYTE_ORDER_MARK):
        return "a byte order mark hides it", "save the file without it"
    behind = name[len(meant.name) :]
    if behind and name.casefold().startswith(meant.name.casefold()) and not _LETTERS.match(behind):
        return "no blank behind the name", f"write {meant.name}, a blank, and the value"
    return _UNKNOWN, f"did you mean {meant.name}? {mend}"


def _shown(name: str, meant: Setting, what: str) -> str:
    """Return what may be shown of a name: all of it, unless a secret may be part of it; then what was meant, if it is known."""
    if _NAME.fullmatch(name) is not None and not meant.secret:
        return name
    return meant.name if what != _UNKNOWN else ""
