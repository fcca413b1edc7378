"""Where PGSQL_CONNECTION leads, by the rules of PostgreSQL's library."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from typing import Any

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from authd.config.sqlrc import SqlSettings
from authd.modules.reach import fifo_in

_OLDER = {
    "host": "PGSQL_HOST",
    "port": "PGSQL_PORT",
    "user": "PGSQL_USERNAME",
    "password": "PGSQL_PASSWORD",
    "options": "PGSQL_OPT",
    "dbname": "PGSQL_DATABASE",
}
"""Parameters, and the settings that have them in files of older builds."""

_URI = re.compile("postgres(ql)?://")
_CERTIFICATES = ("sslrootcert", "sslcert", "sslkey", "sslcrl", "sslcrldir")
_FILES = ("passfile", *_CERTIFICATES)
"""Parameters that name files or a directory of them, each of which a variable can name too."""
_SHORTEST_TIMEOUT = 2
"""Seconds that libpq waits at least."""


def connection_parameters(settings: SqlSettings, timeout: int) -> dict[str, Any]:
    """Return the parameters of a connection.

    :param timeout: seconds for all hosts together, where the string says nothing else.
    :raises psycopg.ProgrammingError: if PGSQL_CONNECTION is no connection string; the text may quote a password.
    """
    values = settings.values
    connection = values["PGSQL_CONNECTION"]
    given = {name: value for name, value in conninfo_to_dict(connection).items() if value}
    if _URI.match(connection):
        _reject_part_of_password(given)
    if "service" not in given:
        # The file of a service has what the string lacks, which these would take the place of.
        given = {**{name: values[setting] for name, setting in _OLDER.items() if values[setting]}, **given}
    hosts = len(str(given.get("hostaddr") or given.get("host", "")).split(","))
    if not _is_positive(given.get("connect_timeout", "")):
        given["connect_timeout"] = max(_SHORTEST_TIMEOUT, timeout // hosts)
    in_service = _in_service(given)
    mode = "" if "service" in given and not in_service else _mode({**in_service, **given})
    return {**given, "sslmode": mode} if mode else given


def _reject_part_of_password(given: Mapping[str, Any]) -> None:
    """Refuse a URI whose host or database has what is likely the end of a password, which every message would show.

    libpq ends a password at its first ``@``, and the host and port at a slash.
    """
    hosts = str(given.get("host", "")).split(",")
    # An @ in front is an abstract Unix socket's.
    if any("@" in host[1:] for host in hosts) or "@" in str(given.get("dbname", "")):
        raise ProgrammingError("in a user name or password of a URI, @ is written %40 and / is written %2F")


def fifo_of(parameters: Mapping[str, Any]) -> str:
    """Return what is wrong with the first of the files of a connection that is a FIFO; empty if none is.

    :param parameters: of the connection; what they lack is in the environment.
    """
    named = list(_service_files()) if _service_of(parameters) else []
    in_service = _in_service(parameters)
    for name in _FILES:
        path = parameters.get(name) or in_service.get(name) or os.environ.get(f"PG{name.upper()}")
        if not path and name == "passfile":
            path = os.path.expanduser("~/.pgpass")
        if path:
            named.append((name, str(path)))
    return fifo_in(named)


def _service_files() -> Iterator[tuple[str, str]]:
    """Yield the files in which libpq looks for a service, each with what names it."""
    if file := os.environ.get("PGSERVICEFILE"):
        yield "PGSERVICEFILE", file
    else:
        yield "service", os.path.expanduser("~/.pg_service.conf")
    if directory := os.environ.get("PGSYSCONFDIR"):
        yield "PGSYSCONFDIR", os.path.join(directory, "pg_service.conf")


def _service_of(parameters: Mapping[str, Any]) -> str:
    return str(parameters.get("service") or os.environ.get("PGSERVICE", ""))


def _in_service(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return the parameters of the service that a connection names, from the first file that knows it.

    Empty if there is none, or a file is a FIFO.
    """
    service = _service_of(parameters)
    files = list(_service_files()) if service else []
    if fifo_in(files):
        return {}
    for file in (Path(path) for _, path in files):
        lines: list[str] = []
        with suppress(OSError):
            lines = [line.strip() for line in file.read_text(errors="surrogateescape").splitlines()]
        if f"[{service}]" in lines:
            section = takewhile(lambda line: not line.startswith("["), lines[lines.index(f"[{service}]") + 1 :])
            pairs = [line.partition("=") for line in section if not line.startswith("#")]
            return {name: value for name, _, value in reversed(pairs) if value}
    return {}


def mode_beside_service(settings: SqlSettings) -> dict[str, str]:
    """Return the variable that says which TLS certificates mean, where a service is named whose file may say it itself.

    libpq takes a parameter from the string, else from the service's file, else from the environment.
    """
    given = conninfo_to_dict(settings.values["PGSQL_CONNECTION"])
    mode = _mode(given) if given.get("service") and not given.get("sslmode") else ""
    return {"PGSSLMODE": mode} if mode else {}


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Have libpq see `variables`, which authdaemonrc sets, and no program that is started later."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _mode(given: Mapping[str, Any]) -> str:
    """Return the ``sslmode`` that certificates in the string or the environment mean; empty if they leave it to libpq.

    libpq's own default, ``prefer``, goes on in clear text if the server has no TLS, or another certificate.
    """

    def value_of(name: str) -> Any:
        return given.get(name) or os.environ.get(f"PG{name.upper()}", "")

    said = value_of("sslmode")
    authority = value_of("sslrootcert")
    if said == "require" and authority and authority != "system":
        # The same, but that a file that is not there is an error.
        return "verify-ca"
    if said or not any(map(value_of, _CERTIFICATES)):
        return ""
    if authority == "system":
        return "verify-full"
    return "verify-ca" if authority else "require"


def _is_positive(seconds: Any) -> bool:
    try:
        return float(seconds) > 0
    except ValueError:
        return False
