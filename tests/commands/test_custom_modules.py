"""Modules that other packages add, and libraries that are not there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import Authd, command, run_command
from tests.support.pam import HASH
from tests.support.sysconf import edit, write_authdaemonrc
from tests.support.wire import exchange, login, passwd, pre

EXAMPLE = Path(__file__).parents[1] / "support" / "example-module"
ACCOUNTS = {
    "user@example.org": {"hash": HASH, "uid": 1, "gid": 2, "home": "/h"},
    "away@example.org": {"away": True},
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The example, installed for commands with this environment."""
    target = tmp_path_factory.mktemp("example")
    source = target / "source"
    subprocess.run(["cp", "-r", str(EXAMPLE), str(source)], check=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--target", str(target / "lib"), str(source)], check=True, capture_output=True)
    return {"PYTHONPATH": str(target / "lib")}


@pytest.fixture
def site(root: Path) -> Iterator[Authd]:
    # One worker, which has seen all that the file said.
    write_authdaemonrc(root / "etc", root / "run", "authexample", daemons="1")
    (root / "run").mkdir()
    (root / "etc" / "accounts.json").write_text(json.dumps(ACCOUNTS))
    daemon = Authd(root / "etc", root / "run")
    yield daemon
    daemon.stop()


def test_an_installed_module_is_like_any_other(site: Authd, installed: dict[str, str]) -> None:
    site.start(installed)
    expected = b"UID=1\nGID=2\nHOME=/h\nADDRESS=user@example.org\nPASSWD=" + HASH.encode() + b"\n"
    assert exchange(site.socket, pre("user@example.org")) == expected + b".\n"
    assert exchange(site.socket, login("user@example.org", "secret")) == expected + b"PASSWD2=secret\n.\n"
    assert exchange(site.socket, login("user@example.org", "wrong")) == b"FAIL\n"
    assert exchange(site.socket, pre("away@example.org")) == b""
    assert exchange(site.socket, passwd("imap", "user@example.org", "secret", "new")) == b"FAIL\n"
    assert exchange(site.socket, pre("user@example.org", modules="authexample")) == expected + b".\n"
    assert 'reason="password not changed: authexample changes no passwords"' in site.logged()
    edit(site.etc / "accounts.json", json.dumps({"new@example.org": ACCOUNTS["user@example.org"]}))
    assert exchange(site.socket, login("new@example.org", "secret")).endswith(b"\n.\n")
    edit(site.etc / "accounts.json", "{")
    assert exchange(site.socket, login("new@example.org", "secret")).endswith(b"\n.\n")
    assert "accounts.json: can't be used: " in site.logged()


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("authbroken", "authbroken is no module: 'no module at all'; have its entry point name a subclass of Module"),
        ("authmissing", "authmissing can't be loaded: ModuleNotFoundError: No module named 'authd_example.nosuch'"),
        ("authnone", "there is no module authnone"),
    ],
)
def test_what_is_no_module_is_told(site: Authd, installed: dict[str, str], module: str, said: str) -> None:
    write_authdaemonrc(site.etc, site.run, module)
    words = ("--sysconfdir", str(site.etc))
    status, told, _ = run_command("authd", "check", *words, environment=installed)
    assert said in told
    assert f"{site.etc}/authdaemonrc: authmodulelist: " in told or module == "authnone"
    status, _, complaints = run_command("authdaemond", "start", "--foreground", *words, environment=installed)
    assert status != 0
    assert said in complaints


@pytest.mark.parametrize(
    ("module", "library", "mend"),
    [("authldap", "ldap", "pip install 'authd[ldap]'"), ("authpgsql", "psycopg", "pip install 'authd[pgsql]'")],
)
def test_a_missing_library_names_what_mends_it(
    site: Authd, tmp_path: Path, module: str, library: str, mend: str
) -> None:
    # What is found first, and can't be imported, stands for a library that is not installed.
    (tmp_path / f"{library}.py").write_text(f"raise ImportError(\"No module named '{library}'\")\n")
    write_authdaemonrc(site.etc, site.run, module)
    environment = {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [command("authdaemond"), "start", "--foreground", "--sysconfdir", str(site.etc)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert f"authmodulelist: {module} can't be loaded: ImportError: No module named '{library}'; {mend}" in done.stderr
    _, told, _ = run_command("authd", "check", "--sysconfdir", str(site.etc), environment=environment)
    assert mend in told
