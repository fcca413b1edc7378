"""The files that are shipped, and the page that is generated, are what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from authd.config import authdaemonrc, rcfile
from authd.config.document import document
from authd.config.ldaprc import SETTINGS as LDAP_SETTINGS
from authd.config.ldaprc import load_ldaprc
from authd.config.mysqlrc import SETTINGS as MYSQL_SETTINGS
from authd.config.mysqlrc import load_mysqlrc
from authd.config.pgsqlrc import SETTINGS as PGSQL_SETTINGS
from authd.config.pgsqlrc import load_pgsqlrc
from authd.config.remarks import leftovers
from authd.config.setting import Setting
from authd.config.sqliterc import SETTINGS as SQLITE_SETTINGS
from authd.config.sqliterc import load_sqliterc

ROOT = Path(__file__).parents[2]
CONF = ROOT / "conf"


def test_the_reference_pages_are_current() -> None:
    for path, content in document().items():
        assert (ROOT / "docs" / path).read_text() == content, "run make docs"


def test_the_sample_authdaemonrc() -> None:
    settings = authdaemonrc.load(CONF / "authdaemonrc")
    assert settings.remarks == ()
    assert settings.login_tempfail == "close"


FILES = {
    "authldaprc": (load_ldaprc, LDAP_SETTINGS),
    "authmysqlrc": (load_mysqlrc, MYSQL_SETTINGS),
    "authpgsqlrc": (load_pgsqlrc, PGSQL_SETTINGS),
    "authsqliterc": (load_sqliterc, SQLITE_SETTINGS),
}


@pytest.mark.parametrize("name", FILES)
def test_the_sample_module_files(name: str) -> None:
    load, table = FILES[name]
    load(CONF / name)
    content = (CONF / name).read_text()
    assert leftovers(rcfile.parse(content), table, CONF / name) == []
    # Courier refuses a file without this line.
    assert "##NAME: MARKER:0\n" in content


@pytest.mark.parametrize("table", [authdaemonrc.SETTINGS, *(table for _, table in FILES.values())])
def test_every_setting_has_its_meaning(table: tuple[Setting, ...]) -> None:
    names = [setting.name for setting in table]
    assert len(names) == len(set(names))
    assert all(setting.meaning.endswith(".") for setting in table)
