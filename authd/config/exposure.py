"""Files with passwords in them that others than the daemon's user can read."""

from __future__ import annotations

import os
import pwd
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from authd.config import rcfile
from authd.config.authdaemonrc import DaemonSettings
from authd.config.names import group_name
from authd.config.problem import ConfigError, Problem
from authd.config.rcfile import without_waiting

_IN_CONNECTION = re.compile(r"(?:^|[\s?&])(?:password|sslpassword)\s*=\s*[^\s&]|://[^/?@:]*:[^/?@]+@", re.IGNORECASE)
"""A password in PGSQL_CONNECTION, as ``password=…`` or before the host of a URI."""

_FILE_IN_CONNECTION = re.compile(r"(?:^|[\s?&])(?:sslkey|passfile)\s*=\s*'?([^\s&']+)")


@dataclass(frozen=True, slots=True)
class Secret:
    """A file with a secret in it.

    :param what: the secret.
    :param named_in: the file whose setting names it.
    """

    file: Path
    what: str
    named_in: Path
    line: int | None = None
    setting: str = ""


def exposed(settings: DaemonSettings) -> Iterator[Problem]:
    """Yield a remark for each file with a password, or the key of a certificate, that others can read."""
    told = set()
    trusted = _trusted_groups(settings)
    for secret in _secrets(settings):
        try:
            status = secret.file.stat()
            readers = _readers(Path(os.path.realpath(secret.file)), status, trusted)
        except OSError:
            continue  # Loading the file reports it.
        if readers and secret.file not in told:
            told.add(secret.file)
            yield Problem(
                secret.named_in,
                f"{readers} can read {secret.file}, and {secret.what} in it",
                _hint(secret.file, status, trusted, settings),
                secret.line,
                secret.setting,
                fatal=False,
            )


def _secrets(settings: DaemonSettings) -> Iterator[Secret]:
    directory = settings.file.parent
    key = settings.ldap_options.get("LDAPTLS_KEY")
    if key:
        yield Secret(Path(key), "the key", settings.file, setting="LDAPTLS_KEY")
    for name in settings.modules:
        if name == "authuserdb":
            yield Secret(directory / "userdb", "the passwords", settings.file, setting="authmodulelist")
            yield Secret(directory / "userdbshadow.dat", "the passwords", settings.file, setting="authmodulelist")
        elif name in _BY_MODULE:
            file = directory / f"{name}rc"
            try:
                lines = rcfile.parse(rcfile.read(file))
            except ConfigError:
                continue
            first = {line.name: line for line in reversed(lines) if line.value}
            for setting, where in _BY_MODULE[name].items():
                if setting in first:
                    line = first[setting]
                    for path, what in _files(where, file, line.value):
                        yield Secret(path, what, file, line.number, setting)


class _Where(Enum):
    """Where the secret is that a setting is about."""

    VALUE = "the setting's value is one"
    KEY = "the setting names a file with a key"
    ACCOUNTS = "the setting names a file with the passwords of accounts"
    CONNECTION = "a connection string has one, or names a file with one"


_BY_MODULE: Mapping[str, Mapping[str, _Where]] = {
    "authmysql": {"MYSQL_PASSWORD": _Where.VALUE, "MYSQL_SSL_KEY": _Where.KEY},
    "authpgsql": {"PGSQL_PASSWORD": _Where.VALUE, "PGSQL_CONNECTION": _Where.CONNECTION},
    "authldap": {"LDAP_BINDPW": _Where.VALUE},
    "authsqlite": {"SQLITE_DATABASE": _Where.ACCOUNTS},
}


def _files(where: _Where, file: Path, value: str) -> list[tuple[Path, str]]:
    """Return the files with a secret that a setting of `file` is about, each with the secret in words."""
    if where is _Where.VALUE:
        return [(file, "the password")]
    if where is _Where.KEY:
        return [(Path(value), "the key")]
    if where is _Where.ACCOUNTS:
        return [(Path(value), "the passwords of all accounts")] if _is_database(Path(value)) else []
    found = [(file, "the password")] if _IN_CONNECTION.search(value) else []
    return found + [(Path(path), "the secret") for path in _FILE_IN_CONNECTION.findall(value)]


def _is_database(file: Path) -> bool:
    """Tell whether there are accounts in a file; in one that is named by mistake, such as /etc/passwd, there are none."""
    beginning = b"SQLite format 3\0"
    try:
        with open(file, "rb", opener=without_waiting) as opened:
            return opened.read(len(beginning)) == beginning
    except OSError:
        return False


def _readers(file: Path, status: os.stat_result, trusted: frozenset[int]) -> str:
    """Return in words which others can read a file; empty for none."""
    parents = [parent.stat() for parent in file.parents]
    if status.st_mode & stat.S_IROTH and all(parent.st_mode & stat.S_IXOTH for parent in parents):
        return "every user"
    gid = status.st_gid
    enters = all(parent.st_mode & (stat.S_IXGRP if parent.st_gid == gid else stat.S_IXOTH) for parent in parents)
    if status.st_mode & stat.S_IRGRP and enters and gid not in trusted | _groups_of(status.st_uid):
        return f"every member of the group {group_name(gid)}"
    return ""


def _daemon_user(settings: DaemonSettings) -> int:
    """Return the id of the user that the daemon runs as, as far as it can be told."""
    with suppress(KeyError):
        return pwd.getpwnam(settings.user).pw_uid
    with suppress(OSError):
        # A service manager may start it as another user than root; that user has the run directory.
        return settings.directory.path.stat().st_uid
    return os.geteuid()


def _trusted_groups(settings: DaemonSettings) -> frozenset[int]:
    """Return the groups whose members may know: root's, the daemon's, and that of those who may ask the daemon."""
    trusted = {0} | _groups_of(_daemon_user(settings))
    with suppress(OSError):
        trusted.add(settings.directory.path.stat().st_gid)
    return frozenset(trusted)


def _groups_of(uid: int) -> frozenset[int]:
    try:
        account = pwd.getpwuid(uid)
    except KeyError:
        return frozenset()
    return frozenset(os.getgrouplist(account.pw_name, account.pw_gid))


def _hint(file: Path, status: os.stat_result, trusted: frozenset[int], settings: DaemonSettings) -> str:
    """Return the commands after which the daemon's user can read a file, and others can't."""
    uid = _daemon_user(settings)
    if uid in (0, status.st_uid):
        return f"chmod go= {file}"
    if status.st_gid in trusted and status.st_gid != 0:
        return f"chmod o= {file}"
    try:
        group = group_name(pwd.getpwuid(uid).pw_gid)
    except KeyError:
        return f"chmod o= {file}"
    return f"chgrp {group} {file}, and chmod 640 {file}"
