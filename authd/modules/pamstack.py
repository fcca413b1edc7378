"""PAM's stacks, read for what they tell of a refusal: the modules of a service, and lines that PAM can't use.

The syntax is that of pam.conf(5): a file a service, ``@include``, and the controls ``include`` and ``substack``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PAM_DIRECTORY = Path("/etc/pam.d")
DIRECTORIES = (PAM_DIRECTORY, Path("/usr/lib/pam.d"))
"""Where the files of services are; the first that has one counts."""

MAX_DEPTH = 16
"""Files that include one another, which PAM bounds too."""

_DENY = b"pam_deny.so"
_UNIX = b"pam_unix.so"
_CHECK_NO_PASSWORD = frozenset(
    b"pam_%b.so" % name
    for name in (
        b"access cap deny echo env faildelay faillock group keyinit limits listfile localuser loginuid mail mkhomedir "
        b"nologin permit rootok securetty sepermit shells succeed_if tally tally2 time umask warn wheel"
    ).split()
)
"""Modules that ask for no password."""

_TYPES = frozenset({b"auth", b"account", b"password", b"session"})
_CONTROLS = frozenset({b"required", b"requisite", b"sufficient", b"optional", b"binding"})
_INCLUDES = frozenset({b"include", b"substack"})
_LINE = re.compile(rb"(\S+)(?:\s+(\[(?:[^]\\]|\\.)*\]|\S+))?(?:\s+(\S+))?")


@dataclass(frozen=True, slots=True)
class Stack:
    """What one type of modules does for a service.

    :param modules: names of the modules' files, without their directories.
    :param broken: file, line and what is wrong of the first line that PAM can't use, which refuses all; empty for none.
    """

    modules: frozenset[bytes] = frozenset()
    broken: str = ""

    @property
    def refuses_all(self) -> bool:
        """Whether no password can be right, since none is looked at and pam_deny has the word."""
        return _DENY in self.modules and self.modules <= _CHECK_NO_PASSWORD

    @property
    def goes_by_shadow(self) -> bool:
        """Whether pam_unix alone decides on a password."""
        return _UNIX in self.modules and self.modules - _CHECK_NO_PASSWORD == {_UNIX}


def find_file(name: str) -> Path | None:
    """Return the file of a service; ``None`` if there is none.

    pam_start(3) makes the name lower case.
    """
    return _first(name.lower())


def read_stack(file: Path, kind: bytes = b"auth") -> Stack:
    """Return what the modules of type `kind` in a file do.

    :param kind: ``auth``, ``account``, ``password`` or ``session``.
    """
    modules: set[bytes] = set()
    broken = ""
    for where, module, problem in _entries(file, kind, 0):
        if module:
            modules.add(module)
        if problem and not broken:
            broken = f"{where}: {problem}"
    return Stack(frozenset(modules), broken)


def _entries(file: Path, kind: bytes, depth: int) -> Iterator[tuple[str, bytes, str]]:
    """Yield file and line, the module's name, and what is wrong, for each line of a type."""
    for number, line in _lines(file):
        match = _LINE.match(line)
        if match is None:
            continue
        where = f"{file}:{number}"
        word, control, target = match[1].lower().removeprefix(b"-"), (match[2] or b"").lower(), match[3] or b""
        if word == b"@include" or (word == kind and control in _INCLUDES):
            name = (match[2] or b"") if word == b"@include" else target
            other = _included(name)
            if other is None:
                yield where, b"", f"{_shown(name)}, which it includes, is not there"
            elif depth < MAX_DEPTH:
                yield from _entries(other, kind, depth + 1)
        elif word == kind:
            yield where, os.path.basename(target), _problem(control, target)
        elif word not in _TYPES and kind == b"auth":
            # PAM takes such a line for one of auth.
            yield where, b"", f"{_shown(word)} is no type of modules"


def _problem(control: bytes, target: bytes) -> str:
    """Return why PAM can't use a line that names a module; empty if it can."""
    if control not in _CONTROLS and not control.startswith(b"["):
        return f"{_shown(control) or 'nothing'} is no control"
    return "" if target else "no module is named"


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that say something, each with the number of its first, a backslash at the end joining two."""
    try:
        content = file.read_bytes()
    except OSError:
        return
    start, whole = 1, b""
    for number, line in enumerate(content.split(b"\n"), 1):
        whole += line
        if whole.endswith(b"\\"):
            whole = whole[:-1] + b" "
            continue
        text = whole.partition(b"#")[0].strip()
        if text:
            yield start, text
        start, whole = number + 1, b""


def _included(name: bytes) -> Path | None:
    # An absolute path takes the place of the directory before it.
    return _first(os.fsdecode(name))


def _first(name: str) -> Path | None:
    return next((file for file in (directory / name for directory in DIRECTORIES) if file.is_file()), None)


def _shown(word: bytes) -> str:
    return word[:40].decode(errors="backslashreplace")
