"""``authpgsqlrc``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from authd.config.problem import Problem
from authd.config.setting import Setting, leading_number, text
from authd.config.sqlrc import SqlSettings, encoding_problems, load, port_problems, shared_settings

PREFIX = "PGSQL_"
DELIVERY = "PGSQL_DEFAULTDELIVERY"

SETTINGS = (
    Setting(
        "PGSQL_CONNECTION",
        text,
        "",
        "Connection string or URI of PostgreSQL's library, such as `host=localhost user=mail password=…`, "
        "`postgresql://mail@localhost/mail` or `service=mail`; `host` may be the directory of a Unix socket, or a list. "
        "What it says wins over the next six, which are not looked at beside a service. A certificate in it demands TLS "
        "unless `sslmode` is there.",
        secret=True,
    ),
    Setting("PGSQL_HOST", text, "", "Host of the database server, or the directory of its Unix socket."),
    Setting("PGSQL_PORT", leading_number, 0, "TCP port of the server; 0 for 5432."),
    Setting("PGSQL_USERNAME", text, "", "Database user."),
    Setting("PGSQL_PASSWORD", text, "", "Password of the database user.", secret=True),
    Setting("PGSQL_OPT", text, "", "Command-line options for the server's side of the connection."),
    Setting(
        "PGSQL_DATABASE",
        text,
        "",
        "Database; needed without PGSQL_CONNECTION, which may name another, and by default has that of the user's name.",
    ),
    Setting("PGSQL_CHARACTER_SET", text, "", "Character set of the connection; empty for the database's own."),
    *shared_settings(PREFIX, DELIVERY),
)


def load_pgsqlrc(file: Path) -> SqlSettings:
    """Read and parse an authpgsqlrc.

    :raises ConfigError: if it can't be used.
    """
    return load(file, SETTINGS, PREFIX, DELIVERY, _check)


def _check(values: Mapping[str, Any], lines: Mapping[str, int], file: Path) -> list[Problem]:
    problems = []
    # An empty string says what libpq's environment and defaults say; so does one without a database.
    by_string = "PGSQL_CONNECTION" in lines
    if not by_string and not values["PGSQL_HOST"]:
        problems.append(
            Problem(
                file,
                "neither this nor PGSQL_HOST is set",
                "say how to connect, such as host=/run/postgresql user=mail",
                setting="PGSQL_CONNECTION",
            )
        )
    if not by_string and not values["PGSQL_DATABASE"]:
        problems.append(Problem(file, "not set", "name the database", lines.get("PGSQL_DATABASE"), "PGSQL_DATABASE"))
    texts = [f"{PREFIX}{name}" for name in ("CONNECTION", "HOST", "USERNAME", "PASSWORD", "OPT", "DATABASE")]
    problems += encoding_problems(values, lines, file, texts)
    return problems + port_problems(values, lines, file, "PGSQL_PORT")
