"""Hints for what back ends say when they can't be used: the setting to change, or what to do about the server."""

from __future__ import annotations

import os
import re
import socket
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

_NO_HOST = r"Name or service|name resolution|No address|Unknown MySQL server host|\(2005\)"

MYSQL: Sequence[tuple[str, str]] = (
    (r"logs in by ", "do that, or name another user in MYSQL_USERNAME"),
    (r"\(1275\)", "give that user another password, or name another user in MYSQL_USERNAME"),
    (r"has no TLS", "give the server TLS, or take the MYSQL_SSL settings out"),
    (r"MYSQL_SSL_\w+: ", "correct that setting, or let the daemon's user read its file"),
    (r"Permission denied|socket .*\(13\)", "let the daemon's user enter the directory of MYSQL_SOCKET"),
    (r"No such file or directory|\(2002\)", "start the database, or correct MYSQL_SOCKET"),
    (r"Connection refused|timed out|No route|unreachable", "start the database, or correct MYSQL_SERVER or MYSQL_PORT"),
    (_NO_HOST, "correct the host in MYSQL_SERVER"),
    (r"\(4151\)|\(3118\)", "unlock the account of MYSQL_USERNAME: ALTER USER ... ACCOUNT UNLOCK"),
    (
        r"\((1820|1862)\)",
        "set a new password for MYSQL_USERNAME, whose own has expired, and write it into MYSQL_PASSWORD",
    ),
    (r"max_\w+_per_hour", "raise that limit of MYSQL_USERNAME, or take it away: ALTER USER ... WITH ... 0"),
    (r"\((1045|1698)\)", "correct MYSQL_USERNAME or MYSQL_PASSWORD, or create that user for this host"),
    (r"\(1049\)", "correct MYSQL_DATABASE, or create it"),
    (r"\(1044\)", "correct MYSQL_DATABASE, or grant MYSQL_USERNAME its rights on it"),
    (r"\((1142|1143)\)", "grant MYSQL_USERNAME the right to read the table, or correct MYSQL_USER_TABLE"),
    (r"\((1040|1203|1226)\)", "raise max_connections, or that user's limit, to more than the workers in daemons"),
    (r"\(1129\)", "flush the server's hosts: mysqladmin flush-hosts"),
    (r"\(1130\)", "create MYSQL_USERNAME for this host, or correct MYSQL_SERVER"),
    (r"\((1115|2019)\)|character set", "correct MYSQL_CHARACTER_SET"),
    (
        r"certificate|SSL|TLS|\(2026\)|\(3159\)",
        "correct MYSQL_SSL_CACERT and its kin, or the server's certificate, which must be for the host in MYSQL_SERVER",
    ),
    (r"Lost connection|gone away|\(20(06|13)\)", "see to the server's log, or correct MYSQL_SERVER or MYSQL_PORT"),
    (r"aborted|denied", "correct MYSQL_USERNAME or MYSQL_PASSWORD"),
)
"""What MySQL, MariaDB and their drivers say, and what to do; the first that is found counts."""

PGSQL: Sequence[tuple[str, str]] = (
    (r"a FIFO, where", "name a file there, in PGSQL_CONNECTION or in authdaemonrc"),
    (
        r"service file|definition of service",
        "correct service in PGSQL_CONNECTION, or PGSERVICEFILE in authdaemonrc, or let the daemon's user read that file",
    ),
    (r"could not match", "give as many ports and addresses as hosts in PGSQL_CONNECTION, or one port for all"),
    (r"invalid \w+ value|invalid integer value|invalid port number", "correct that value in PGSQL_CONNECTION"),
    (r"root certificate file .* does not exist", "correct sslrootcert in PGSQL_CONNECTION"),
    (r"does not support SSL", "give the server TLS, or correct sslmode in PGSQL_CONNECTION"),
    (
        r"certificate|SSL|TLS",
        "correct sslmode and sslrootcert in PGSQL_CONNECTION, or the server's certificate, which must be for its host",
    ),
    (
        r"on socket .*No such file",
        "start the database, or correct host, the directory of its socket, or port in PGSQL_CONNECTION",
    ),
    (r"on socket .*Permission denied", "let the daemon's user enter the directory that host in PGSQL_CONNECTION names"),
    (r"could not translate host name|resolve host|Name or service", "correct host in PGSQL_CONNECTION"),
    (
        r"Connection refused|timeout|timed out|unreachable|No route",
        "start the database, or correct host or port in PGSQL_CONNECTION",
    ),
    (
        r"database .* does not exist|3D000",
        "correct PGSQL_DATABASE, or dbname in PGSQL_CONNECTION, or create the database",
    ),
    (r"role .* does not exist", "correct user in PGSQL_CONNECTION, or create the role"),
    (
        r"password authentication failed|no password supplied|28P01|authentication failed",
        "correct user or password in PGSQL_CONNECTION, or the server's pg_hba.conf",
    ),
    (r"pg_hba\.conf|28000", "add this host, user and database to the server's pg_hba.conf, and reload the server"),
    (
        r"too many clients|connection slots|too many connections|53300",
        "raise max_connections to more than the workers in daemons",
    ),
    (r"starting up|shutting down|recovery|57P0", "wait until the database has started"),
    (r"permission denied|42501", "grant the user of PGSQL_CONNECTION the right to read the table"),
)
"""Messages of libpq and PostgreSQL."""

LDAP: Sequence[tuple[str, str]] = (
    (r"a FIFO, where", "name a file in that setting of authdaemonrc"),
    (r"can't be understood", "correct LDAP_URI, such as ldap://localhost:389"),
    (r"no password\) disallowed|[Uu]nauthenticated bind", "set LDAP_BINDPW, or LDAP_INITBIND to 0"),
    (
        r"simple authentication|operation restricted",
        "have the server allow simple binds, or set LDAP_INITBIND to 0 where it answers without one",
    ),
    (r"TLS can't be set up", "correct these settings in authdaemonrc, or let the daemon's user read the files"),
    (
        r"which is not followed without TLS",
        "name a part of the tree in LDAP_BASEDN that is all on this server, or have the server refer to ldaps://",
    ),
    (
        r"[Ss]trong(er|\(er\))? auth|[Cc]onfidentiality|TLS.*required|encryption required|signing",
        "the server wants TLS: set LDAP_TLS to 1, or ldaps:// in LDAP_URI, with LDAPTLS_CACERT in authdaemonrc",
    ),
    (
        r"non-properly terminated|unexpected TLS packet|wrong version number|record layer",
        "write ldap:// in LDAP_URI, or the server's port for ldaps://, which is 636 elsewhere",
    ),
    (
        r"certificate|unknown error code|TLS|SSL|handshake",
        "correct LDAPTLS_CACERT in authdaemonrc, the authority of the server's certificate, which must be valid and for the host "
        "in LDAP_URI",
    ),
    (r"bind for lookups: Invalid DN", "correct LDAP_BINDDN"),
    (r"Invalid credentials|Inappropriate auth", "correct LDAP_BINDDN or LDAP_BINDPW"),
    (r"Invalid DN", "correct LDAP_BASEDN"),
    (r"No such object|Referral", "correct LDAP_BASEDN"),
    (
        r"Insufficient access",
        "grant LDAP_BINDDN the right to search and read below LDAP_BASEDN, or correct LDAP_BINDDN",
    ),
    (
        r"successful bind|Operations error",
        "set LDAP_INITBIND to 1, with LDAP_BINDDN and LDAP_BINDPW: the server wants a bind",
    ),
    (r"Bad search filter|[Ff]ilter", "correct LDAP_MAIL, LDAP_FILTER or LDAP_ENUMERATE_FILTER"),
    (r"[Ss]ize limit|[Aa]dministrative limit", "raise the server's size limit for LDAP_BINDDN"),
    (r"Timed out|timed out|Time limit", "raise LDAP_TIMEOUT, or correct the host in LDAP_URI"),
    (r"Can't contact|Server is unavailable|Server is busy|Connect error", "start the server, or correct LDAP_URI"),
    (r"Protocol error", "correct LDAP_PROTOCOL_VERSION, or LDAP_TLS where the server has no StartTLS"),
    (r"Unwilling|Inappropriate", "correct LDAP_BINDDN, LDAP_BINDPW or the filter"),
)
"""Messages of libldap and of the servers."""


def said_hint(detail: str, table: Sequence[tuple[str, str]]) -> str:
    """Return what to do about a message; empty where `table` does not know it."""
    # The name of a server may look like a word of a message.
    said = re.sub(r"\w+://[^\s,;]+", "", detail)
    return next((hint for pattern, hint in table if re.search(pattern, said)), "")


def sqlite_hint(detail: str, database: str) -> str:
    """Return what to do where the file `database` can't be used; empty if the file is not why."""
    path = Path(database)
    if "unable to open" in detail:
        return _opening_hint(path)
    if "disk I/O" in detail and path.is_dir():
        return _opening_hint(path)
    if "not a database" in detail or "malformed" in detail or "encrypted" in detail:
        return f"name an SQLite {sqlite3.sqlite_version_info[0]} file in SQLITE_DATABASE, or restore {path}"
    if "locked" in detail or "busy" in detail:
        return f"end the program that has {path} locked, or raise AUTHD_DATABASE_TIMEOUT"
    if "readonly" in detail or "read-only" in detail:
        return f"let the daemon's user write {path} and its directory, or leave passwords to be changed elsewhere"
    if "disk is full" in detail or "full" in detail:
        return f"free space on the file system of {path.parent} (df {path.parent})"
    if "disk I/O" in detail:
        return f"see to the file system of {path}, and whether the daemon's user may write beside it"
    return ""


def _opening_hint(path: Path) -> str:
    if not path.is_absolute():
        return "write the whole path in SQLITE_DATABASE, since the daemon's directory is /"
    try:
        for above in reversed(path.parents):
            if not os.path.lexists(above):
                return f"there is no directory {above}; correct SQLITE_DATABASE"
            if not above.is_dir():
                return f"{above} is not a directory; correct SQLITE_DATABASE"
            if not os.access(above, os.X_OK, effective_ids=True):
                return f"let the daemon's user enter {above} (chmod, chgrp)"
        if path.is_dir():
            return f"{path} is a directory; name a file in SQLITE_DATABASE"
        if not path.exists():
            return f"there is no file {path}; correct SQLITE_DATABASE, or create it (authd never does)"
        if not path.is_file():
            return f"{path} is no regular file; name one in SQLITE_DATABASE"
        if not os.access(path, os.R_OK, effective_ids=True):
            return f"let the daemon's user read {path} (chgrp, chmod 640)"
    except OSError as error:
        return f"{error.filename}: {error.strerror}; correct SQLITE_DATABASE"
    return (
        f"see to {path} and the files beside it, such as {path.name}-wal, which the daemon's user must be able to read"
    )


def address_hint(uris: Sequence[str]) -> str:
    """Return what to do about the first of the directory's addresses that leads nowhere; empty if all lead somewhere."""
    return next(filter(None, map(_address_hint, uris)), "")


def _address_hint(uri: str) -> str:
    address = urlsplit(uri)
    if address.scheme == "ldapi":
        path = Path(unquote(address.netloc))
        if address.path.strip("/"):
            return "write %2F for each / of the socket's path in LDAP_URI, such as ldapi://%2Frun%2Fslapd%2Fldapi"
        if path == Path():
            return ""
        if not os.path.lexists(path):
            return f"there is no socket {path}; start the server, or correct LDAP_URI"
        if not os.access(path, os.W_OK, effective_ids=True):
            return f"let the daemon's user enter {path.parent} and write to {path}"
        return ""
    try:
        if address.hostname:
            socket.getaddrinfo(address.hostname, None)
    except (OSError, UnicodeError) as error:
        words = getattr(error, "strerror", None) or "no name of a host"
        return f"correct the host {address.hostname} in LDAP_URI ({words})"
    return ""


def settings_hint(file_name: str, detail: str, values: Mapping[str, object]) -> str:
    """Return what to do about what the back end of a module's file said; empty where that is not known.

    :param file_name: ``authmysqlrc`` or the like.
    :param values: the settings of that file.
    """
    if file_name == "authsqliterc":
        return sqlite_hint(detail, str(values.get("SQLITE_DATABASE", "")))
    server = str(values.get("MYSQL_SERVER", ""))
    # An IPv6 address has more colons than one.
    if re.search(_NO_HOST, detail) and (server.count(":") == 1 or "://" in server):
        return "write the name of the host alone into MYSQL_SERVER, and a port into MYSQL_PORT"
    table = {"authmysqlrc": MYSQL, "authpgsqlrc": PGSQL, "authldaprc": LDAP}.get(file_name, ())
    return said_hint(detail, table)
