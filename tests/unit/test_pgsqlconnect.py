"""What PGSQL_CONNECTION and the older settings become."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from authd.config.pgsqlrc import load_pgsqlrc
from authd.config.problem import ConfigError

pytest.importorskip("psycopg")

import psycopg

from authd.modules.pgsqlconnect import connection_parameters, environment, mode_beside_service

TABLE = "PGSQL_USER_TABLE mailbox\nPGSQL_CRYPT_PWFIELD crypt\n"


def parameters(directory: Path, **settings: str) -> dict[str, Any]:
    file = directory / "authpgsqlrc"
    file.write_text(
        TABLE + "".join(f"PGSQL_{name} {value}\n" for name, value in settings.items()), errors="surrogateescape"
    )
    return connection_parameters(load_pgsqlrc(file), 10)


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"CONNECTION": "postgresql://u:p@h/d"}, {"host": "h", "user": "u", "password": "p", "dbname": "d"}),
        ({"CONNECTION": "host=h", "DATABASE": "d", "USERNAME": "u"}, {"host": "h", "user": "u", "dbname": "d"}),
        ({"CONNECTION": "host=h dbname=''", "DATABASE": "d"}, {"host": "h", "dbname": "d"}),
        ({"CONNECTION": "host=h dbname=x", "DATABASE": "d"}, {"host": "h", "dbname": "x"}),
        ({"CONNECTION": "service=s", "DATABASE": "d", "HOST": "h"}, {"service": "s"}),
        ({"CONNECTION": "postgresql://?service=s", "DATABASE": "d"}, {"service": "s"}),
        ({"CONNECTION": ""}, {}),
        ({"CONNECTION": "", "HOST": "h", "DATABASE": "d"}, {"host": "h", "dbname": "d"}),
        ({"HOST": "h", "PORT": "1", "DATABASE": "d"}, {"host": "h", "port": 1, "dbname": "d"}),
    ],
)
def test_parameters(tmp_path: Path, settings: dict[str, str], wanted: dict[str, Any]) -> None:
    found = parameters(tmp_path, **settings)
    assert found.pop("connect_timeout") == 10
    assert found == wanted


@pytest.mark.parametrize("settings", [{"CONNECTION": "password=p\udce4ss"}, {"HOST": "h", "PASSWORD": "p\udce4ss"}])
def test_bytes_that_no_driver_can_send(tmp_path: Path, settings: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="not UTF-8; save the file as UTF-8") as refusal:
        parameters(tmp_path, **settings)
    assert "p\\udce4" not in str(refusal.value)


@pytest.mark.parametrize("settings", [{}, {"DATABASE": "d"}, {"HOST": "h"}])
def test_what_is_missing(tmp_path: Path, settings: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="set"):
        parameters(tmp_path, **settings)


@pytest.mark.parametrize(
    ("connection", "seconds"),
    [
        ("host=a", 10),
        ("host=a,b,c", 3),
        ("postgresql://a:1,b:2/d", 5),
        ("hostaddr=127.0.0.1,127.0.0.2", 5),
        ("host=" + ",".join("abcdefgh"), 2),
        ("host=a,b connect_timeout=7", "7"),
        ("host=a connect_timeout=0", 10),
        ("host=a connect_timeout=-1", 10),
    ],
)
def test_all_hosts_share_the_time(tmp_path: Path, connection: str, seconds: object) -> None:
    assert parameters(tmp_path, CONNECTION=connection)["connect_timeout"] == seconds


@pytest.mark.parametrize(
    ("connection", "mode"),
    [
        ("host=h", None),
        ("host=h sslrootcert=/ca", "verify-ca"),
        ("host=h sslrootcert=/ca sslmode=require", "verify-ca"),
        ("host=h sslrootcert=/ca sslmode=verify-full", "verify-full"),
        ("host=h sslrootcert=/ca sslmode=prefer", "prefer"),
        ("host=h sslrootcert=system", "verify-full"),
        ("host=h sslcert=/c sslkey=/k", "require"),
        ("host=h sslmode=require", "require"),
        ("service=s sslrootcert=/ca", None),
        ("postgresql://h/d?sslrootcert=/ca", "verify-ca"),
    ],
)
def test_a_certificate_means_tls(tmp_path: Path, connection: str, mode: str | None) -> None:
    assert parameters(tmp_path, CONNECTION=connection).get("sslmode") == mode


def test_the_mode_of_the_environment_counts(tmp_path: Path) -> None:
    with environment({"PGSSLMODE": "prefer"}):
        assert "sslmode" not in parameters(tmp_path, CONNECTION="host=h sslrootcert=/ca")


@pytest.mark.parametrize(
    ("variables", "connection", "mode"),
    [
        ({"PGSSLROOTCERT": "/ca"}, "host=h", "verify-ca"),
        ({"PGSSLROOTCERT": "/ca", "PGSSLMODE": "require"}, "host=h", "verify-ca"),
        ({"PGSSLROOTCERT": "/ca", "PGSSLMODE": "prefer"}, "host=h", None),
        ({"PGSSLROOTCERT": "/ca"}, "host=h sslmode=disable", "disable"),
        ({"PGSSLCERT": "/c", "PGSSLKEY": "/k"}, "host=h", "require"),
        ({"PGSSLCRL": "/crl"}, "host=h", "require"),
        ({"PGSSLROOTCERT": ""}, "host=h", None),
    ],
)
def test_a_certificate_of_the_environment_means_tls_too(
    tmp_path: Path, variables: dict[str, str], connection: str, mode: str | None
) -> None:
    with environment(variables):
        assert parameters(tmp_path, CONNECTION=connection).get("sslmode") == mode


@pytest.mark.parametrize(
    ("connection", "wanted"),
    [
        ("service=s sslrootcert=/ca", {"PGSSLMODE": "verify-ca"}),
        ("service=s sslrootcert=/ca sslmode=prefer", {}),
        ("service=s", {}),
        ("host=h sslrootcert=/ca", {}),
    ],
)
def test_beside_a_service_the_mode_is_one_that_its_file_may_change(
    tmp_path: Path, connection: str, wanted: dict[str, str]
) -> None:
    file = tmp_path / "authpgsqlrc"
    file.write_text(f"{TABLE}PGSQL_CONNECTION {connection}\n")
    assert mode_beside_service(load_pgsqlrc(file)) == wanted


def test_the_environment_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "before")
    monkeypatch.delenv("PGPASSWORD", raising=False)
    with environment({"PGHOST": "then", "PGPASSWORD": "geheim"}):
        assert (os.environ["PGHOST"], os.environ["PGPASSWORD"]) == ("then", "geheim")
    assert os.environ["PGHOST"] == "before"
    assert "PGPASSWORD" not in os.environ


@pytest.mark.parametrize(
    "uri", ["postgresql://u:p@secret@h/db", "postgres://u:1/secret@h/db", "postgresql://u@h1,x@h2/db"]
)
def test_the_end_of_a_password_is_no_host(tmp_path: Path, uri: str) -> None:
    with pytest.raises(psycopg.ProgrammingError, match="@ is written %40 and / is written %2F"):
        parameters(tmp_path, CONNECTION=uri)


def test_an_abstract_socket_is_a_host(tmp_path: Path) -> None:
    assert parameters(tmp_path, CONNECTION="postgresql://u:p@/db?host=@socket")["host"] == "@socket"
