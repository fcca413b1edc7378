"""The house is in order: imports point one way, files are small, and the reference page is the tables'."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import authd

PACKAGE = Path(authd.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

LEAVES = {"authd", "authd.account", "authd.numbers", "authd.outcome", "authd.services"}
ALLOWED = {
    "account": LEAVES,
    "numbers": LEAVES,
    "outcome": LEAVES,
    "services": LEAVES,
    "workdir": LEAVES,
    "protocol": LEAVES,
    "config": LEAVES,
    "passwords": LEAVES,
    "userdb": LEAVES,
    "modules": {"config", "passwords", "protocol", "userdb", "workdir"},
    "together": {"modules", "passwords"},
    "chain": {"modules", "config", "protocol"},
    "cache": {"chain", "modules", "protocol"},
    "client": {"protocol"},
    "server": {"cache", "chain", "together", "modules", "config", "protocol", "workdir"},
    "cli": {"server", "chain", "together", "modules", "config", "passwords", "protocol", "client", "userdb"},
}
"""What each part of the package may import, besides itself and the leaves."""


def _imports(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    return names


@pytest.mark.parametrize("file", FILES, ids=[str(file.relative_to(PACKAGE)) for file in FILES])
def test_imports_point_one_way(file: Path) -> None:
    part = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if part == "__init__":
        assert not any(name.startswith("authd") for name in _imports(file))
        return
    for name in _imports(file):
        if name.startswith("authd") and name not in LEAVES:
            other = name.split(".")[1]
            assert other == part or other in ALLOWED[part], f"{file.name} imports {name}"


@pytest.mark.parametrize(
    "file", [file for file in FILES if "protocol" in file.relative_to(PACKAGE).parts], ids=lambda file: file.name
)
def test_the_protocol_knows_neither_sockets_nor_sql(file: Path) -> None:
    assert not _imports(file) & {"socket", "select", "os", "sqlalchemy", "pymysql", "sqlite3"}


@pytest.mark.parametrize("file", FILES, ids=[str(file.relative_to(PACKAGE)) for file in FILES])
def test_files_are_small(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= 500


@pytest.mark.parametrize(
    "command", ["authtest", "authenumerate", "authpasswd", "authd", "deliver", "doctor", "userdb", "makeuserdb"]
)
def test_commands_that_need_no_database_load_no_driver(command: str) -> None:
    """Loading SQLAlchemy is most of what a command that asks the daemon one question would do."""
    code = (
        f"import sys, authd.cli.{command}; print([name for name in ('sqlalchemy', 'pymysql') if name in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout == "[]\n"


def test_no_module_imports_another() -> None:
    for file in (PACKAGE / "modules").glob("auth*.py"):
        assert not any(name.startswith("authd.modules.auth") for name in _imports(file))
