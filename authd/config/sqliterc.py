"""``authsqliterc``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from authd.config.problem import Problem
from authd.config.setting import Setting, text
from authd.config.sqlrc import SqlSettings, load, shared_settings

PREFIX = "SQLITE_"
DELIVERY = "SQLITE_DEFAULTDELIVERY"

SETTINGS = (
    Setting("SQLITE_DATABASE", text, "", "File of the database; needed. authd never creates it."),
    *shared_settings(PREFIX, DELIVERY),
)


def load_sqliterc(file: Path) -> SqlSettings:
    """Read and parse an authsqliterc.

    :raises ConfigError: if it can't be used.
    """
    return load(file, SETTINGS, PREFIX, DELIVERY, _check)


def _check(values: Mapping[str, Any], lines: Mapping[str, int], file: Path) -> list[Problem]:
    if values["SQLITE_DATABASE"]:
        return []
    return [Problem(file, "not set", "name the database's file", lines.get("SQLITE_DATABASE"), "SQLITE_DATABASE")]
