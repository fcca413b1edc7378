"""authmysql: accounts in MariaDB or MySQL, by PyMySQL or mysqlclient."""

from __future__ import annotations

import codecs
import importlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from ssl import SSLContext
from typing import Any

import pymysql
from pymysql.charset import charset_by_name
from pymysql.constants import CLIENT, CR
from pymysql.converters import encoders
from pymysql.err import OperationalError
from sqlalchemy.dialects.mysql.mysqldb import MySQLDialect_mysqldb
from sqlalchemy.dialects.mysql.pymysql import MySQLDialect_pymysql
from sqlalchemy.engine import Dialect

from authd.account import Account
from authd.config.mysqlrc import SETTINGS, load_mysqlrc
from authd.config.problem import ConfigError, Problem
from authd.config.sqlrc import SAVE_AS_UTF8, SqlSettings
from authd.modules.base import Surroundings, TemporaryFailure
from authd.modules.mysqlplugins import plugin_advice
from authd.modules.mysqltls import (
    AUTHORITIES,
    AUTHORITY,
    CERTIFICATE,
    CIPHER,
    KEY,
    TlsSettingError,
    insistence,
    tls_context,
    unverified_context,
    wants_tls,
)
from authd.modules.provers import MysqlProver
from authd.modules.pymysqlrows import RowConnection
from authd.modules.readable import is_readable
from authd.modules.sql import SqlModule, Unbindable
from authd.modules.sqltext import MYSQL
from authd.numbers import unsigned
from authd.outcome import Reason

DEFAULT_CHARACTER_SET = "utf8mb4"
DEFAULT_PORT = 3306

MYSQLCLIENT = "mysqlclient"
"""Value of ``AUTHD_MYSQL_DRIVER``."""

SOCKETS = ("/run/mysqld/mysqld.sock", "/var/run/mysqld/mysqld.sock", "/var/lib/mysql/mysql.sock", "/tmp/mysql.sock")  # noqa: S108 - where MySQL that was built from source has it
"""Where servers keep their socket; C's client library has one of them compiled in for ``localhost``."""


class AuthMysql(SqlModule):
    """Accounts in a MariaDB or MySQL table."""

    name = "authmysql"
    file_name = "authmysqlrc"
    settings_table = SETTINGS
    syntax = MYSQL
    login_tempfail = "fail"

    def needs(self) -> Iterator[tuple[Path, int]]:
        for name in ("MYSQL_SSL_KEY", "MYSQL_SSL_CERT", "MYSQL_SSL_CACERT"):
            if self._settings.values[name]:
                yield Path(self._settings.values[name]), os.R_OK

    def parse(self, file: Path) -> SqlSettings:
        return load_mysqlrc(file)

    def __init__(self, surroundings: Surroundings) -> None:
        self._uses_mysqlclient = surroundings.mysql_driver == MYSQLCLIENT
        if self._uses_mysqlclient:
            try:
                importlib.import_module("MySQLdb.cursors")
            except ImportError as error:
                raise ConfigError(
                    Problem(
                        surroundings.sysconfdir / "authdaemonrc",
                        f"{MYSQLCLIENT} can't be loaded: {error}",
                        "pip install 'authd[mysqlclient]', or remove the setting",
                        setting="AUTHD_MYSQL_DRIVER",
                    )
                ) from None
        super().__init__(surroundings)

    def dialect(self) -> Dialect:
        if self._uses_mysqlclient:
            return MySQLDialect_mysqldb(dbapi=importlib.import_module("MySQLdb"))
        return MySQLDialect_pymysql(dbapi=pymysql)

    def connect(self, settings: SqlSettings) -> Any:
        arguments = connect_arguments(settings, self._surroundings.timeout)
        wanted = settings.values["MYSQL_CHARACTER_SET"]
        if arguments["charset"] != wanted:
            self._report(
                f"{settings.file}: MYSQL_CHARACTER_SET: {wanted} is unknown, using {arguments['charset']}; "
                "correct the name"
            )
        local = "unix_socket" in arguments
        tls = self._tls(settings, local)
        try:
            if self._uses_mysqlclient:
                return _mysqlclient(arguments, settings, tls)
            # Without a setting, a server elsewhere is asked whether it has TLS; over a socket that is not worth the time.
            wished = tls or (None if local else unverified_context())
            return RowConnection(tls=wished, needs_tls=tls is not None and not local, **arguments)
        except Exception as error:
            if local and error.args[:1] == (CR.CR_CONN_HOST_ERROR,):
                # PyMySQL names a server at localhost, whatever the socket.
                words = f"Can't connect through socket '{arguments['unix_socket']}' ({error.original_exception})"  # type: ignore[attr-defined]
                raise OperationalError(CR.CR_CONNECTION_ERROR, words) from None
            if words := plugin_advice(error, settings.values["MYSQL_USERNAME"], self._uses_mysqlclient):
                raise TemporaryFailure(Reason.UNREACHABLE, words) from None
            raise

    def _tls(self, settings: SqlSettings, local: bool) -> SSLContext | None:
        """Return the context that the TLS settings describe; ``None`` if there are none, or they do not matter.

        :param local: whether the server is reached by a Unix socket.
        """
        try:
            return tls_context(settings) if wants_tls(settings) else None
        except TlsSettingError as error:
            if local:
                return None
            where = f"{settings.file}:{settings.lines.get(error.setting, 0)}"
            raise TemporaryFailure(Reason.UNREACHABLE, f"{where}: {error}") from None

    def prover(self, settings: SqlSettings) -> MysqlProver:
        return MysqlProver(self.connect(settings), self.dialect())

    def has_unread(self, connection: Any) -> bool:
        if isinstance(connection, RowConnection):
            return connection.has_unread()
        # What C's library has in its buffer is not told; the marks in answers are for that.
        return is_readable(connection.fileno())

    def bindable(self, value: bytes) -> str:
        # Strict: in an encoding of several bytes, a byte that is no character could swallow the escape after it.
        try:
            return value.decode(_encoding(_character_set(self._settings)) or "ascii")
        except UnicodeDecodeError as error:
            raise Unbindable(str(error)) from None

    def texts_of(self, row: Sequence[Any]) -> Sequence[bytes | None]:
        # The connection is told to convert nothing.
        return row

    def account_of(self, columns: Sequence[bytes | None]) -> Account:
        login, crypt, clear, uid, gid, home, maildir, quota, name, options = [column or None for column in columns]
        numeric_uid, numeric_gid = unsigned(uid), unsigned(gid)
        if not numeric_uid:
            raise TemporaryFailure(Reason.BAD_UID, _shown(uid))
        if not numeric_gid:
            raise TemporaryFailure(Reason.BAD_GID, _shown(gid))
        # Cut at its end, it would be empty.
        if home is None or home[0] in b"\0\n":
            raise TemporaryFailure(Reason.NO_HOME)
        return Account(
            login,
            numeric_uid,
            numeric_gid,
            home,
            name=name,
            maildir=maildir,
            quota=quota,
            options=options,
            crypt=crypt,
            clear=clear,
        )


def connect_arguments(settings: SqlSettings, timeout: int) -> dict[str, Any]:
    """Return PyMySQL's arguments for `settings`.

    :param timeout: seconds to connect, and to wait for an answer.
    """
    values = settings.values
    arguments: dict[str, Any] = {
        "user": values["MYSQL_USERNAME"],
        # PyMySQL makes Latin-1 of a str; the server compares the bytes of the file, as Courier sends them.
        "password": values["MYSQL_PASSWORD"].encode("utf-8", "surrogateescape"),
        "database": values["MYSQL_DATABASE"],
        "charset": _character_set(settings),
        "client_flag": (values["MYSQL_OPT"] | CLIENT.FOUND_ROWS) & ~CLIENT.SSL,
        "connect_timeout": timeout,
        "read_timeout": timeout,
        "write_timeout": timeout,
        "autocommit": True,
        # No decoders: every value comes as the bytes that the server sent, as Courier's C interface has it.
        "conv": encoders,
        "use_unicode": False,
    }
    host = values["MYSQL_SERVER"] or "localhost"
    socket = values["MYSQL_SOCKET"] or next((path for path in SOCKETS if os.path.exists(path)), "")
    if host == "localhost" and socket:
        arguments["unix_socket"] = socket
    else:
        arguments["host"] = host
        arguments["port"] = values["MYSQL_PORT"] or DEFAULT_PORT
    return arguments


def _mysqlclient(arguments: Mapping[str, Any], settings: SqlSettings, tls: SSLContext | None) -> Any:
    """Return a connection of mysqlclient's by PyMySQL's `arguments`."""
    driver = importlib.import_module("MySQLdb")
    more: dict[str, Any] = {"conv": {}}
    with ExitStack() as stack:
        if tls is not None:
            names = {"ca": AUTHORITY, "capath": AUTHORITIES, "cert": CERTIFICATE, "key": KEY, "cipher": CIPHER}
            given = {name: settings.values[setting] for name, setting in names.items()}
            if not given["cert"]:
                # As Courier has it, a key alone is nothing.
                del given["key"]
            more["ssl"] = {name: value for name, value in given.items() if value}
            if "unix_socket" not in arguments:
                more |= insistence(arguments, tls, driver.get_client_info(), stack)
        try:
            password = arguments["password"].decode()
        except UnicodeDecodeError:
            words = f"MYSQL_PASSWORD has bytes that are not UTF-8, which {MYSQLCLIENT} can't send; {SAVE_AS_UTF8}"
            raise TemporaryFailure(Reason.MISCONFIGURED, words) from None
        connection = driver.connect(**{**arguments, **more, "password": password})
    # As what is bound was decoded; the library's own choice is another for some character sets.
    connection.encoding = _encoding(arguments["charset"])
    return connection


def _character_set(settings: SqlSettings) -> str:
    name: str = settings.values["MYSQL_CHARACTER_SET"]
    return name if _encoding(name) else DEFAULT_CHARACTER_SET


@cache
def _encoding(character_set: str) -> str | None:
    """Return Python's name for a character set of the server's; ``None`` where either does not know it."""
    known = charset_by_name(character_set)
    try:
        return codecs.lookup(known.encoding).name if known is not None else None
    except LookupError:
        return None


def _shown(value: bytes | None) -> str:
    return "NULL" if value is None else repr(value.decode("utf-8", "backslashreplace"))
