"""authmysql's connection gives the rows that PyMySQL's gives, whatever the server answers."""

from __future__ import annotations

import select
from contextlib import closing
from typing import Any

import pymysql
import pytest
from pymysql.converters import encoders

from authd.modules.pymysqlrows import RowConnection
from tests.support.mariadb import MariaDB
from tests.support.processes import LIMIT_SECONDS

STATEMENTS = [
    "SELECT 1",
    "SELECT NULL, '', 'a', 0x00ff, 1.5, NOW() - NOW()",
    "SELECT 1 WHERE FALSE",
    "SELECT repeat('x', 250), repeat('x', 251), repeat('x', 252)",
    "SELECT repeat('x', 65535)",
    "SELECT repeat('x', 65536)",
    "SELECT repeat('x', 300000), 1",
    "SELECT seq, seq * 7 FROM seq_1_to_3",
    "SELECT seq, repeat('x', seq MOD 300) FROM seq_1_to_20000",
    "SELECT seq FROM seq_1_to_300",
    "SELECT nosuch",
    "SELEC",
    "DO 1",
    "SET @a = 1",
    "BEGIN NOT ATOMIC SELECT 1; SELECT 2; END",
    "BEGIN NOT ATOMIC SELECT 1; SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'; END",
    "SHOW TABLES FROM information_schema",
    "SELECT " + ", ".join(["1"] * 300),
    "KILL CONNECTION_ID()",
]


def outcome(connection: Any, statement: str) -> tuple[Any, ...]:
    """Return all that the module looks at."""
    with closing(connection.cursor()) as cursor:
        try:
            cursor.execute(statement)
            said = (cursor.description is None, cursor.rowcount, cursor.fetchall(), cursor.nextset())
        except pymysql.Error as error:
            return type(error), error.args
        return said


@pytest.fixture
def arguments(mariadb: MariaDB) -> dict[str, Any]:
    return {
        **{"user": "root", "unix_socket": str(mariadb.socket), "database": "mysql", "charset": "utf8mb4"},
        **{"conv": encoders, "use_unicode": False, "autocommit": True, "read_timeout": 10},
    }


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: statement[:40])
def test_rows_are_the_same(arguments: dict[str, Any], statement: str) -> None:
    with closing(pymysql.connect(**arguments)) as theirs, closing(RowConnection(**arguments)) as ours:
        # Twice, so that what one statement leaves behind would show.
        for _ in range(2):
            assert outcome(ours, statement) == outcome(theirs, statement)
            if "KILL" in statement:
                # What a statement meets depends on whether the server has closed the connection yet.
                for connection in (ours, theirs):
                    its_socket = getattr(connection, "_sock", None)
                    assert its_socket is None or select.select([its_socket], [], [], LIMIT_SECONDS)[0]
        if "KILL" not in statement:
            assert outcome(ours, "SELECT 2, 'b'") == (False, 1, ((b"2", b"b"),), None)


def test_simple_results_are_not_left_to_pymysql(arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(RowConnection(**arguments)) as connection:
        monkeypatch.setattr(pymysql.connections.MySQLResult, "read", None)
        assert outcome(connection, "SELECT seq FROM seq_1_to_100")[1] == 100
