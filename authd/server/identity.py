"""The user that the daemon becomes: ``AUTHD_USER``, or ``User=`` of its unit."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from authd.config.authdaemonrc import DaemonSettings
from authd.config.locate import VARIABLE, directory_of_files

UNIT = "authd.service"

UNIT_DIRECTORIES = (
    Path("/etc/systemd/system"),
    Path("/run/systemd/system"),
    Path("/usr/local/lib/systemd/system"),
    Path("/usr/lib/systemd/system"),
    Path("/lib/systemd/system"),
)
"""Where units and their drop-ins are; the first that has a file of a name counts."""

_PROPERTIES = ("User", "SupplementaryGroups", "ExecStart", "Environment")
_TIMEOUT_SECONDS = 5
_SYSCONFDIR = "--sysconfdir"


@dataclass(frozen=True, slots=True)
class Identity:
    """A user to become.

    :param user: empty to stay who one is.
    :param groups: names of groups that it has besides its own.
    :param source: where it is named.
    """

    user: str = ""
    groups: tuple[str, ...] = ()
    source: str = "AUTHD_USER"


def daemon_identity(settings: DaemonSettings, directories: Sequence[Path] = UNIT_DIRECTORIES) -> Identity:
    """Return the user that the daemon becomes on `settings` if it is started in the way that this machine starts it.

    The unit is asked where this is root, and the unit is for the configuration of `settings`.
    """
    if settings.user:
        return Identity(settings.user)
    if os.geteuid() != 0:
        return Identity()
    unit = _asked(directories) or _read(directories)
    if not unit.get("User") or _sysconfdir_of(unit) != settings.file.parent:
        return Identity()
    return Identity(unit["User"], tuple(unit.get("SupplementaryGroups", "").split()), f"User= of {UNIT}")


def _sysconfdir_of(unit: Mapping[str, str]) -> Path:
    """Return the directory of the files that the daemon of `unit` reads."""
    words = unit.get("ExecStart", "").split()
    if _SYSCONFDIR in words[:-1]:
        return Path(words[words.index(_SYSCONFDIR) + 1])
    named = [word.partition("=")[2] for word in words if word.startswith(f"{_SYSCONFDIR}=")]
    try:
        variables = shlex.split(unit.get("Environment", ""))
    except ValueError:
        variables = []
    named += [word.partition("=")[2] for word in variables if word.startswith(f"{VARIABLE}=")]
    return Path(named[0]) if named else directory_of_files()


def _asked(directories: Sequence[Path]) -> dict[str, str]:
    """Return the properties of the unit that the running systemd has; none if there is no such unit, or no systemd."""
    if directories is not UNIT_DIRECTORIES or not Path("/run/systemd/system").is_dir():
        return {}
    command = ["systemctl", "show", "--no-pager", *(f"--property={name}" for name in _PROPERTIES), UNIT]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=True)  # noqa: S603 - words of ours
    except (OSError, ValueError, subprocess.SubprocessError):
        return {}
    return {name: value for name, equals, value in (line.partition("=") for line in done.stdout.splitlines()) if equals}


def _read(directories: Sequence[Path]) -> dict[str, str]:
    """Return the properties of the unit as its file and its drop-ins have them."""
    unit = next((file for file in (directory / UNIT for directory in directories) if file.is_file()), None)
    if unit is None:
        return {}
    drop_ins: dict[str, Path] = {}
    for directory in reversed(directories):
        drop_ins.update({file.name: file for file in (directory / f"{UNIT}.d").glob("*.conf")})
    properties: dict[str, str] = {}
    for file in (unit, *(drop_ins[name] for name in sorted(drop_ins))):
        _apply(properties, _lines(file))
    return properties


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(errors="replace").replace("\\\n", " ").splitlines()
    except OSError:
        return []


def _apply(properties: dict[str, str], lines: Iterable[str]) -> None:
    """Take over what `lines` set: an empty value clears, and those of lists add up."""
    for line in lines:
        name, equals, value = line.strip().partition("=")
        name, value = name.strip(), value.strip()
        if not equals or name not in _PROPERTIES:
            continue
        before = properties.get(name, "")
        properties[name] = f"{before} {value}".strip() if value and name != "User" else value
