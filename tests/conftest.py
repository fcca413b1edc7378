"""What all tests share: private servers, and what happens where a peer is missing."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from authd.server import log
from tests.support import passwords
from tests.support.daemon import Authd
from tests.support.mariadb import MariaDB
from tests.support.postgres import PROGRAMS, Postgres
from tests.support.site import make_site

# How long an example takes says something about the machine, not about authd.
settings.register_profile("authd", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("authd")

REQUIRED = "AUTHD_REQUIRE_PEERS"
"""Environment variable under which a missing peer is an error; ``.ci/run`` sets it."""

SBIN = ("/usr/sbin", "/sbin", "/usr/local/sbin")


def require(*programs: str) -> None:
    """Skip the test, or fail it where peers are required, unless all `programs` or files are there and this is root."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *SBIN])
    missing = [
        program for program in programs if shutil.which(program, path=path) is None and not Path(program).is_file()
    ]
    if os.geteuid() != 0:
        missing.append("root, for mount namespaces and private servers")
    if not missing:
        return
    reason = f"needs {', '.join(missing)}; tests/setup installs what Debian packages"
    if os.environ.get(REQUIRED):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Give this run a temporary directory of its own.

    Every pytest that starts makes the directory that runs of one user share inaccessible to other users, such as the one that
    a database server of another run has become.
    """
    if not config.option.basetemp:
        config.option.basetemp = tempfile.mkdtemp(prefix="authd-")
        config.add_cleanup(lambda: _remove(config))


def _remove(config: pytest.Config) -> None:
    """Remove the temporary directory of a run without failures; what failed can be looked into."""
    session: pytest.Session | None = config.pluginmanager.getplugin("session")
    if session is None or session.exitstatus == pytest.ExitCode.OK:
        shutil.rmtree(config.option.basetemp, ignore_errors=True)


@pytest.fixture(scope="module", autouse=True)
def _passwords_of_this_module() -> None:
    """Look for the passwords of this module's tests alone; what others made up may be a word of its logs."""
    passwords.forget()


@pytest.fixture(autouse=True)
def _no_password_is_logged(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:
    """Look for passwords in what the test itself has logged; daemons' logs are searched when they are stopped."""
    lines: list[str] = []

    def recording(add: Callable[[Any, int, str], None]) -> Callable[[Any, int, str], None]:
        def record(sink: object, level: int, line: str) -> None:
            lines.append(line)
            add(sink, level, line)

        return record

    monkeypatch.setattr(log._Stderr, "add", recording(log._Stderr.add))
    monkeypatch.setattr(log._Syslog, "add", recording(log._Syslog.add))
    yield
    if request.node.get_closest_marker("logs_passwords") is None:
        passwords.assert_none_in("\n".join(lines), "the log of the test's own process")


@pytest.fixture(scope="session", autouse=True)
def _administrators_path() -> None:
    """Let tests find what is in the administrator's directories."""
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", ""), *SBIN])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A temporary directory that other users can enter."""
    return opened(tmp_path)


def opened(path: Path) -> Path:
    """Let other users enter `path` and what is above it in the tests' temporary directory."""
    for directory in (path, *path.parents):
        if directory.stat().st_uid != os.geteuid() or directory == Path("/tmp"):
            break
        directory.chmod(directory.stat().st_mode | 0o055)
    return path


@pytest.fixture
def site(root: Path) -> Iterator[Authd]:
    """A daemon that is not started; ended after the test if the test started it."""
    daemon = make_site(root)
    yield daemon
    daemon.stop()


@pytest.fixture
def authd(site: Authd) -> Authd:
    """A daemon that serves."""
    site.start()
    return site


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    """One MariaDB for the whole run; tests that stop theirs make their own."""
    require("mariadbd", "mariadb-install-db")
    with MariaDB(opened(tmp_path_factory.mktemp("mariadb")) / "server") as server:
        yield server


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """One PostgreSQL for the whole run; tests that stop theirs make their own."""
    require(str(PROGRAMS / "postgres"))
    with Postgres(opened(tmp_path_factory.mktemp("postgres")) / "server") as server:
        yield server
