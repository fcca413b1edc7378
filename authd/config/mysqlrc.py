"""``authmysqlrc``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from authd.config.problem import Problem
from authd.config.setting import Setting, leading_number, text
from authd.config.sqlrc import SqlSettings, encoding_problems, load, port_problems, shared_settings

PREFIX = "MYSQL_"
DELIVERY = "MYSQL_DEFAULTDELIVERY_FIELD"

SETTINGS = (
    Setting(
        "MYSQL_SERVER",
        text,
        "",
        "Host of the database server; `localhost` means its Unix socket. This or MYSQL_SOCKET.",
    ),
    Setting("MYSQL_PORT", leading_number, 0, "TCP port of the server; 0 for 3306."),
    Setting("MYSQL_SOCKET", text, "", "Unix socket of the server, used where MYSQL_SERVER is `localhost` or absent."),
    Setting("MYSQL_USERNAME", text, "", "Database user; needed."),
    Setting("MYSQL_PASSWORD", text, "", "Password of the database user.", secret=True),
    Setting("MYSQL_DATABASE", text, "", "Database; needed."),
    Setting("MYSQL_OPT", leading_number, 0, "Client flags of the MySQL protocol; leave it 0. 2048 demands TLS."),
    Setting("MYSQL_CHARACTER_SET", text, "utf8mb4", "Character set of the connection."),
    Setting("MYSQL_SSL_KEY", text, "", "File with the client's TLS key."),
    Setting("MYSQL_SSL_CERT", text, "", "File with the client's TLS certificate."),
    Setting(
        "MYSQL_SSL_CACERT",
        text,
        "",
        "File with the authority that the server's certificate must come from. Any of these five means TLS or no "
        "connection; over a Unix socket, TLS if the server has it.",
    ),
    Setting("MYSQL_SSL_CAPATH", text, "", "Directory with such authorities."),
    Setting("MYSQL_SSL_CIPHER", text, "", "TLS ciphers that are allowed, in OpenSSL's notation."),
    *shared_settings(PREFIX, DELIVERY),
)


def load_mysqlrc(file: Path) -> SqlSettings:
    """Read and parse an authmysqlrc.

    :raises ConfigError: if it can't be used.
    """
    return load(file, SETTINGS, PREFIX, DELIVERY, _check)


def _check(values: Mapping[str, Any], lines: Mapping[str, int], file: Path) -> list[Problem]:
    problems = []
    if not values["MYSQL_SERVER"] and not values["MYSQL_SOCKET"]:
        problems.append(
            Problem(
                file,
                "neither this nor MYSQL_SOCKET is set",
                "name the database's host, such as localhost",
                lines.get("MYSQL_SERVER"),
                "MYSQL_SERVER",
            )
        )
    for name, what in (("MYSQL_USERNAME", "user"), ("MYSQL_DATABASE", "database")):
        if not values[name]:
            problems.append(Problem(file, "not set", f"name the {what} to connect with", lines.get(name), name))
    problems += encoding_problems(values, lines, file, ("MYSQL_SERVER", "MYSQL_USERNAME", "MYSQL_DATABASE"))
    return problems + port_problems(values, lines, file, "MYSQL_PORT")
