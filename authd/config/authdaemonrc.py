"""``authdaemonrc``: the daemon's own settings.

The file looks like shell and is sourced by Courier's start script, while Courier's daemon parses it by hand; what both
agree on is one ``name="value"`` a line, ``#`` for remarks, and no continuation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from authd.config.hints import read_hint
from authd.config.listening import ListenerSettings, control_listener, listeners, with_default
from authd.config.problem import ConfigError, Problem
from authd.config.setting import Setting, number_between, one_of, text, words

MOST_DAEMONS = 1000
"""More workers than this is taken for a slip of the hand: each holds a process and a database connection."""

LONGEST_TTL = 86_400
"""Seconds that the cache may be told to remember: a day."""


def cached_modules(value: str) -> tuple[str, ...]:
    """Return names of modules; raise `ValueError` for one whose logins can't be remembered."""
    names = words(value)
    if "authpam" in names:
        raise ValueError("logins by authpam depend on the mail client's address and can't be remembered")
    return names


SETTINGS = (
    Setting("authmodulelist", words, (), "Modules that are asked, in this order, separated by spaces."),
    Setting(
        "daemons",
        number_between(1, MOST_DAEMONS),
        1,
        "Workers: how many requests are verified at once. Without it there is one, and a complaint.",
    ),
    Setting("authdaemonvar", text, "/run/courier/authdaemon", "Directory of the socket and the pid file."),
    Setting(
        "DEBUG_LOGIN",
        number_between(0, 2),
        0,
        "1 logs what is asked of whom and what came of it; 2 logs passwords too.",
    ),
    Setting(
        "DEFAULTOPTIONS",
        text,
        "",
        "Comma-separated `option=value` pairs for accounts that do not have the option themselves.",
    ),
    Setting(
        "LOGGEROPTS", words, (), "Options of Courier's logger; `-name=NAME` and `-facility=FACILITY` are honoured."
    ),
    *(
        Setting(f"LDAP{name}", text, "", f"Of authldap: `{name}` of ldap.conf(5). {meaning}")
        for name, meaning in {
            "TLS_CACERT": "File with the authorities that a server's certificate must come from.",
            "TLS_CACERTDIR": "Directory with such authorities.",
            "TLS_CERT": "File with the client's certificate.",
            "TLS_KEY": "File with its key.",
            "TLS_REQCERT": "What is asked of the server's certificate: `never`, `allow`, `try`, `demand`.",
            "TLS_CIPHER_SUITE": "Ciphers that are allowed.",
        }.items()
    ),
    Setting(
        "AUTHD_LOGIN_TEMPFAIL",
        one_of("fail", "close"),
        None,
        'What a client is told when a login can\'t be checked because a database is down: `"fail"` for `FAIL`, as if '
        'the password was wrong; `"close"` for no reply, which clients take for a temporary failure. Without it '
        "each module does what Courier's does: authmysql fails, for one, and authsqlite closes; on sockets of protocols "
        "other than authdaemond's it is then a temporary failure.",
    ),
    Setting(
        "AUTHD_DATABASE_TIMEOUT",
        number_between(1, 60),
        10,
        "Seconds that a database may take to connect or to answer before it counts as down.",
    ),
    Setting(
        "AUTHD_CACHE_TTL",
        number_between(0, LONGEST_TTL),
        0,
        "Seconds that a worker remembers an account that it found, for lookups and for logins with the same password; 0 asks "
        "the database each time. See docs/cache.md for what may be out of date meanwhile.",
    ),
    Setting(
        "AUTHD_CACHE_NEGATIVE_TTL",
        number_between(0, LONGEST_TTL),
        0,
        "Seconds that a worker remembers that there is no such user; 0 asks the database each time.",
    ),
    Setting(
        "AUTHD_CACHE_SIZE",
        number_between(1, 10_000_000),
        10_000,
        "How many accounts a worker remembers at most, about two kilobytes each, and as many users who are none.",
    ),
    Setting(
        "AUTHD_CACHE_MODULES",
        cached_modules,
        (),
        "Modules, separated by spaces, whose answers are remembered although they may decide by more than service, name and "
        "password: authpipe, authldap with LDAP_AUTHBIND, or a module of your own, where you know that yours does not. "
        "authpam is never one: PAM is told the mail client's address.",
    ),
    Setting(
        "AUTHD_BATCH",
        number_between(1, 256),
        64,
        "How many lookups that wait at the same time may go into one query; 1 asks them one by one, as is always done where a "
        "clause replaces the query.",
    ),
    Setting(
        "AUTHD_MYSQL_DRIVER",
        one_of("pymysql", "mysqlclient"),
        "pymysql",
        "Library that authmysql talks to the database by: `pymysql`, or the faster `mysqlclient`, which "
        "`pip install 'authd[mysqlclient]'` installs.",
    ),
    Setting(
        "AUTHD_LISTEN",
        listeners,
        (),
        "Further sockets, separated by spaces: `protocol:path`, then `,mode=0660`, `,owner=USER`, `,group=GROUP`, "
        "`,passwords=no` as needed. Protocols: `authdaemond` (mode 0777 unless given), `control` (0600), `dovecot-auth` (0660), "
        "`dovecot-userdb` (0600), `saslauthd` (0777). A relative path begins in `authdaemonvar`. With `passwords=no` "
        "stored passwords (PASSWD, PASSWD2) never leave by that socket. Courier's own socket is always there; "
        "`authdaemond:socket` with options gives it another mode, owner or group.",
    ),
    Setting(
        "AUTHD_USER",
        text,
        "",
        "User that the daemon becomes once its sockets are open, with all groups of that user. Without it the daemon stays "
        "the user that started it.",
    ),
)


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """The directory that ``authdaemonvar`` names: where the daemon meets its clients."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def socket(self) -> Path:
        """The socket that clients connect to."""
        return self.path / "socket"

    @property
    def control(self) -> Path:
        """The socket by which the caches are told to forget; there is none where nothing is cached."""
        return self.path / "control"

    @property
    def pid_file(self) -> Path:
        """The file with the master's process id, locked while it runs."""
        return self.path / "pid"


@dataclass(frozen=True, slots=True)
class DaemonSettings:
    """The settings of one authdaemonrc, parsed; see `SETTINGS` for the meaning of each."""

    file: Path
    modules: tuple[str, ...]
    daemons: int
    directory: RunDirectory
    debug_login: int
    default_options: bytes
    logger_name: str
    logger_facility: str
    login_tempfail: str | None
    database_timeout: int
    batch: int
    mysql_driver: str
    cache_ttl: int
    cache_negative_ttl: int
    cache_size: int
    cache_modules: tuple[str, ...]
    ldap_options: Mapping[str, str]
    added_listeners: tuple[ListenerSettings, ...]
    user: str
    remarks: tuple[Problem, ...] = ()

    @property
    def listeners(self) -> tuple[ListenerSettings, ...]:
        """Courier's socket first, then those that ``AUTHD_LISTEN`` adds, then the control socket of a daemon that caches."""
        listeners = with_default(self.added_listeners, self.directory.socket)
        control = self.directory.control
        if not self.caches or any(listener.path == control for listener in listeners):
            return listeners
        return (*listeners, control_listener(control))

    @property
    def caches(self) -> bool:
        """Whether anything is remembered."""
        return self.cache_ttl > 0 or self.cache_negative_ttl > 0


def load(file: Path) -> DaemonSettings:
    """Read and parse an authdaemonrc.

    :raises ConfigError: if it can't be read, or has a line or value that can't be used.
    """
    return parse(_read(file), file)


def load_directory(file: Path) -> RunDirectory:
    """Return where the daemon of an authdaemonrc is to be found, whatever else is wrong in the file.

    :raises ConfigError: if it can't be read.
    """
    directory = next(setting.default for setting in SETTINGS if setting.name == "authdaemonvar")
    for _, name, value in _assignments(_read(file)):
        if name == "authdaemonvar" and value:
            directory = value
    return RunDirectory(Path(directory))


def _read(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8", "surrogateescape")
    except OSError as error:
        raise ConfigError(Problem(file, f"can't be read: {error.strerror}", read_hint(error, file))) from error


def _assignments(content: str) -> Iterator[tuple[int, str, str | None]]:
    """Yield line number, name and unquoted value of every line that says something; ``None`` where it has no ``=``."""
    for number, written in enumerate(content.splitlines(), 1):
        line = _without_remark(written).strip()
        if line:
            name, equals, value = line.partition("=")
            yield number, name.rstrip(), _unquoted(value.strip()) if equals else None


def parse(content: str, file: Path) -> DaemonSettings:
    """Parse the content of an authdaemonrc; `file` is for messages.

    :raises ConfigError: naming every line that can't be used.
    """
    table = {setting.name: setting for setting in SETTINGS}
    values: dict[str, Any] = {setting.name: setting.default for setting in SETTINGS}
    problems: list[Problem] = []
    seen: set[str] = set()
    for number, name, value in _assignments(content):
        if value is None:
            problems.append(
                Problem(file, f'no "=" in "{_shown(name)}"', 'write name="value", or # before a remark', number)
            )
            continue
        setting = table.get(name)
        if setting is None:
            if name.startswith("AUTHD_"):
                problems.append(
                    Problem(file, "unknown setting", "see docs/settings.md for the names", number, name, False)
                )
            continue
        if name in seen:
            problems.append(Problem(file, "set before; the last counts", "remove one", number, name, False))
        seen.add(name)
        try:
            values[name] = setting.parse(value)
        except ValueError as error:
            problems.append(Problem(file, f"{error}, found {_shown(value)}", "correct the value", number, name))
    if "daemons" not in seen:
        problems.append(Problem(file, "missing, using 1", "add daemons=5", setting="daemons", fatal=False))
    if not values["authmodulelist"]:
        problems.append(Problem(file, "no module is named", 'add authmodulelist="authmysql"', setting="authmodulelist"))
    for name in values["AUTHD_CACHE_MODULES"]:
        if name not in values["authmodulelist"]:
            what = f"{name} is not in authmodulelist"
            problems.append(Problem(file, what, "remove it, or correct the name", None, "AUTHD_CACHE_MODULES", False))
    name, facility, logger_problems = _logger_options(values["LOGGEROPTS"], file)
    problems += logger_problems
    directory = RunDirectory(Path(values["authdaemonvar"]))
    try:
        with_default(values["AUTHD_LISTEN"], directory.socket)
    except ValueError as error:
        problems.append(Problem(file, str(error), "correct the value", setting="AUTHD_LISTEN"))
    if any(problem.fatal for problem in problems):
        raise ConfigError(*problems)
    return DaemonSettings(
        file=file,
        modules=values["authmodulelist"],
        daemons=values["daemons"],
        directory=directory,
        debug_login=values["DEBUG_LOGIN"],
        default_options=values["DEFAULTOPTIONS"].encode("utf-8", "surrogateescape"),
        logger_name=name,
        logger_facility=facility,
        login_tempfail=values["AUTHD_LOGIN_TEMPFAIL"],
        database_timeout=values["AUTHD_DATABASE_TIMEOUT"],
        batch=values["AUTHD_BATCH"],
        mysql_driver=values["AUTHD_MYSQL_DRIVER"],
        cache_ttl=values["AUTHD_CACHE_TTL"],
        cache_negative_ttl=values["AUTHD_CACHE_NEGATIVE_TTL"],
        cache_size=values["AUTHD_CACHE_SIZE"],
        cache_modules=values["AUTHD_CACHE_MODULES"],
        ldap_options={name: value for name, value in values.items() if name.startswith("LDAP") and value},
        added_listeners=values["AUTHD_LISTEN"],
        user=values["AUTHD_USER"],
        remarks=tuple(problems),
    )


def _without_remark(line: str) -> str:
    """Cut `line` at the first ``#`` outside quotes."""
    quote = ""
    for position, character in enumerate(line):
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character == "#":
            return line[:position]
    return line


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] in "\"'" and value[-1] == value[0]:
        return value[1:-1]
    return value


def _shown(value: str) -> str:
    return value.encode("unicode_escape", "surrogateescape").decode("ascii", "replace")[:60]


_FACILITIES = (
    "auth",
    "authpriv",
    "cron",
    "daemon",
    "kern",
    "lpr",
    "mail",
    "news",
    "syslog",
    "user",
    "uucp",
    *(f"local{number}" for number in range(8)),
)


def _logger_options(options: tuple[str, ...], file: Path) -> tuple[str, str, list[Problem]]:
    name, facility = "authdaemond", "mail"
    problems = []
    for option in options:
        match = re.fullmatch(r"-(name|facility)=(.+)", option)
        if match is None:
            problems.append(Problem(file, f"{option} has no effect", "remove it", setting="LOGGEROPTS", fatal=False))
        elif match[1] == "name":
            name = match[2]
        elif match[2] in _FACILITIES:
            facility = match[2]
        else:
            problems.append(
                Problem(
                    file,
                    f"unknown syslog facility {match[2]}",
                    f"use one of {' '.join(_FACILITIES)}",
                    setting="LOGGEROPTS",
                )
            )
    return name, facility, problems
