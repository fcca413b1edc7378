"""``authdaemonrc``: the daemon's own settings.

Its lines are read in ``assignments.py``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from authd.config.assignments import Given, read_assignments, shown
from authd.config.listening import ListenerSettings, control_listener, listeners, with_default
from authd.config.logging import logger_options
from authd.config.nearest import suggestion
from authd.config.owners import owner_of
from authd.config.problem import ConfigError, Problem
from authd.config.rcfile import read_bytes
from authd.config.setting import OPTION_NAME, Setting, number_between, one_of, text, words
from authd.config.shell import read_script
from authd.numbers import atoi

MOST_DAEMONS = 1000
"""More workers than this is taken for a slip of the hand: each holds a process and a database connection."""

DECOY_SCHEMES = (
    "sha512-crypt",
    "sha256-crypt",
    "md5-crypt",
    "bcrypt",
    "yescrypt",
    "crypt",
    "md5",
    "md5raw",
    "sha1",
    "sha256",
    "sha512",
    "ssha",
    "ssha256",
    "ssha512",
    "blf-crypt",
    "pbkdf2-sha256",
    "pbkdf2-sha512",
    "argon2",
    "clear",
)
"""The schemes of authpasswd, and cleartext."""

_DEFAULT_DIRECTORY = "/run/courier/authdaemon"

LONGEST_TTL = 86_400
"""Seconds that the cache may be told to remember: a day."""


def cached_modules(value: str) -> tuple[str, ...]:
    """Return names of modules; raise `ValueError` for one whose logins can't be remembered."""
    names = words(value)
    if "authpam" in names:
        raise ValueError("logins by authpam depend on the mail client's address and can't be remembered")
    return names


def _daemons(value: str) -> int:
    """Return the number of workers as Courier reads it: what the value begins with; 1 where that is no number, or 0."""
    number = atoi(value.encode("utf-8", "surrogateescape")) or 1
    if not 0 < number <= MOST_DAEMONS:
        raise ValueError(f"expected a number from 1 to {MOST_DAEMONS}")
    return number


def _debug_level(value: str) -> int:
    """Return the level as Courier reads it: the number that the value begins with, of which all above 2 mean 2."""
    number = atoi(value.encode("utf-8", "surrogateescape"))
    return min(number, 2) if number >= 0 else 1


def _absolute(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError("expected a path that begins with /")
    return value


def decoys(value: str) -> tuple[tuple[str, int], ...]:
    """Return the scheme and the cost of each word of ``AUTHD_DECOY_HASH``; a cost of 0 is the scheme's default."""
    found = []
    for word in value.split():
        scheme, colon, cost = word.partition(":")
        if scheme not in DECOY_SCHEMES:
            raise ValueError(f"must be of {', '.join(DECOY_SCHEMES)}, each with :COST or without")
        if colon and not (cost.isascii() and cost.isdigit() and int(cost)):
            raise ValueError("must have a number behind the colon")
        found.append((scheme, int(cost or 0)))
    return tuple(found)


SETTINGS = (
    Setting("authmodulelist", words, (), "Modules that are asked, in this order, separated by spaces."),
    Setting(
        "daemons",
        _daemons,
        1,
        "Workers: how many requests are verified at once. Without it there is one, and a complaint.",
    ),
    Setting("authdaemonvar", _absolute, _DEFAULT_DIRECTORY, "Directory of the socket and the pid file."),
    Setting(
        "DEBUG_LOGIN",
        _debug_level,
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
        "AUTHD_PASSWD_REJECT",
        one_of("next", "stop"),
        "next",
        'What follows when a module rejects a password change: `"next"` asks the next module, as Courier does; `"stop"` '
        "asks no more once a module knows the user, or can't tell.",
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
        "AUTHD_DECOY_HASH",
        decoys,
        (),
        "What the password of an unknown user is checked against, so that the time does not tell that there is none: one or more "
        "schemes of `authpasswd`, separated by spaces, each with a cost where it has one: `bcrypt:12 sha512-crypt`. Without it "
        "authd looks at a sample of the accounts, and learns from logins. Needed where a clause replaces the query and the first "
        "login after a start must not tell.",
        # By its name, a hash may be written there.
        secret=True,
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
    passwd_reject: str
    database_timeout: int
    batch: int
    mysql_driver: str
    decoys: tuple[tuple[str, int], ...]
    cache_ttl: int
    cache_negative_ttl: int
    cache_size: int
    cache_modules: tuple[str, ...]
    ldap_options: Mapping[str, str]
    libpq: Mapping[str, str] = field(repr=False)
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
    return find_directory(file) or RunDirectory(Path(_DEFAULT_DIRECTORY))


def find_directory(file: Path) -> RunDirectory | None:
    """Return where the daemon of an authdaemonrc is to be found; ``None`` where the file does not tell, as it should.

    :raises ConfigError: if it can't be read.
    """
    content = _read(file).removeprefix("\ufeff").replace("\r\n", "\n")
    script = read_script(content)
    said = [one.value for one in script.assignments if one.name == "authdaemonvar" and not one.lost]
    if not said:
        # The default is meant, unless the name stands where it sets nothing.
        mentioned = script.broken is not None or re.search(r"(?m)^[^#\n]*\bauthdaemonvar\b", content)
        return None if mentioned else RunDirectory(Path(_DEFAULT_DIRECTORY))
    directory = said[-1]
    if directory is None or not directory.startswith("/") or "\0" in directory:
        return None
    return RunDirectory(Path(directory))


def _read(file: Path) -> str:
    return read_bytes(file).decode("utf-8", "surrogateescape")


def parse(content: str, file: Path) -> DaemonSettings:
    """Parse the content of an authdaemonrc; `file` is for messages.

    :raises ConfigError: naming every line that can't be used.
    """
    table = {setting.name: setting for setting in SETTINGS}
    values: dict[str, Any] = {setting.name: setting.default for setting in SETTINGS}
    reading = read_assignments(content, file, table)
    problems = reading.problems
    seen: set[str] = set()
    libpq: dict[str, str] = {}
    for given in reading.given:
        if _LIBPQ.fullmatch(given.name) and "\0" not in given.value:
            libpq[given.name] = given.value
            continue
        setting = table.get(given.name)
        if setting is None:
            problems += _unknown(given, table, file)
            continue
        if given.name in seen:
            problems.append(Problem(file, "set before; the last counts", "remove one", given.line, given.name, False))
        seen.add(given.name)
        try:
            values[given.name] = setting.parse(given.value)
        except ValueError as error:
            problem = str(error) if setting.secret else f"{error}, found {shown(given.value)}"
            problems.append(Problem(file, problem, "correct the value", given.line, given.name))
        else:
            problems += _odd(setting, given, values[given.name], file)
    if "daemons" not in seen:
        problems.append(Problem(file, "missing, using 1", "add daemons=5", setting="daemons", fatal=False))
    if not values["authmodulelist"]:
        problems.append(Problem(file, "no module is named", 'add authmodulelist="authmysql"', setting="authmodulelist"))
    for name in values["AUTHD_CACHE_MODULES"]:
        if name not in values["authmodulelist"]:
            what = f"{name} is not in authmodulelist"
            problems.append(Problem(file, what, "remove it, or correct the name", None, "AUTHD_CACHE_MODULES", False))
    name, facility, logger_problems = logger_options(values["LOGGEROPTS"], file)
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
        default_options=values["DEFAULTOPTIONS"].partition("\n")[0].encode("utf-8", "surrogateescape"),
        logger_name=name,
        logger_facility=facility,
        login_tempfail=values["AUTHD_LOGIN_TEMPFAIL"],
        passwd_reject=values["AUTHD_PASSWD_REJECT"],
        database_timeout=values["AUTHD_DATABASE_TIMEOUT"],
        batch=values["AUTHD_BATCH"],
        mysql_driver=values["AUTHD_MYSQL_DRIVER"],
        decoys=values["AUTHD_DECOY_HASH"],
        cache_ttl=values["AUTHD_CACHE_TTL"],
        cache_negative_ttl=values["AUTHD_CACHE_NEGATIVE_TTL"],
        cache_size=values["AUTHD_CACHE_SIZE"],
        cache_modules=values["AUTHD_CACHE_MODULES"],
        ldap_options={name: value for name, value in values.items() if name.startswith("LDAP") and value},
        libpq=libpq,
        added_listeners=values["AUTHD_LISTEN"],
        user=values["AUTHD_USER"],
        remarks=tuple(problems),
    )


def _unknown(given: Given, table: Iterable[str], file: Path) -> Iterator[Problem]:
    """Yield a remark on a setting that is not known, if it is likely to be meant for authd."""
    if given.name.startswith("disable"):
        # A shell takes it for a variable of its own, and a user who was to be kept out is let in.
        what = "no setting, without effect; it seems to belong to DEFAULTOPTIONS"
        mend = "write all options in one pair of quotes on one line"
        yield Problem(file, what, mend, given.line, given.name, False)
        return
    owner = owner_of(given.name)
    if owner not in ("", "authdaemonrc"):
        what = f"a setting of {owner}, without effect here"
        mend = f"move it to {owner}: the name, a blank, and the value"
        yield Problem(file, what, mend, given.line, given.name, False)
        return
    ours = given.name.startswith("AUTHD_")
    hint = suggestion(given.name, table) if ours else suggestion(given.name, table, _SURE)
    if ours or (hint and given.name not in _OF_OTHERS):
        mend = f"{hint}see docs/settings.md for the names"
        yield Problem(file, "unknown setting, without effect", mend, given.line, given.name, False)


_LIBPQ = re.compile("PG[A-Z]+")
"""Variables of PostgreSQL's library, which Courier's has in its environment too, since its start script sources this file."""

_SURE = 0.85
"""How alike a name must be that may as well be another program's."""

_OF_OTHERS = ("authmodulelistorig", "version")
"""Settings of Courier's sample file that have no effect."""


def _odd(setting: Setting, given: Given, value: Any, file: Path) -> Iterator[Problem]:
    """Yield a remark on a value that Courier takes for another than it seems to be."""
    if setting.name in ("daemons", "DEBUG_LOGIN"):
        if (given.value.lstrip("0") or given.value[:1]) == str(value):
            return
        yield Problem(
            file,
            f'"{shown(given.value)}" is taken for {value}, as by Courier',
            f'write {setting.name}="{value}", or the number that is meant',
            given.line,
            setting.name,
            fatal=False,
        )
    elif setting.name == "DEFAULTOPTIONS":
        if "\n" in given.value:
            mend = "write all options on one line"
            yield Problem(file, "cut at the end of the line", mend, given.line, setting.name, fatal=False)
        for what, mend in _odd_options(given.value.partition("\n")[0]):
            yield Problem(file, what, mend, given.line, setting.name, fatal=False)


def _odd_options(options: str) -> Iterator[tuple[str, str]]:
    """Yield which of `options` have another effect than they seem to have, and the mend; clients of Courier take them so, too."""
    for option in filter(None, options.split(",")):
        name, _, value = option.partition("=")
        if not OPTION_NAME.fullmatch(name) or ";" in value:
            yield f'"{shown(option)}" is no option', "write name=value pairs with commas between them, and no blanks"
        elif name.lower().startswith("disable") and not name.startswith("disable"):
            yield f"{name} is no option", "write its name in small letters"
        elif name.startswith("disable") and not value.strip().isdecimal():
            yield f'"{shown(option)}" keeps nobody out', f"write {name}=1"
