"""The System V script, run for real, with the exit statuses of the Linux Standard Base."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import require
from tests.support.daemon import Authd, command
from tests.support.planted import MAIL_USER
from tests.support.site import GOOD
from tests.support.wire import exchange

SCRIPT = Path(__file__).parents[2] / "init" / "courier-authlib"


def run(site: Authd, *words: str, program: str = command("authdaemond")) -> int:
    environment = {"PATH": "/usr/bin:/bin", "AUTHD_SYSCONFDIR": str(site.etc)}
    environment |= {"AUTHDAEMOND": program, "RUN_DIRECTORY": str(site.run)}
    done = subprocess.run([str(SCRIPT), *words], env=environment, capture_output=True, timeout=60, check=False)
    return done.returncode


def test_a_life(site: Authd) -> None:
    try:
        assert run(site, "status") == 3
        assert run(site, "reload") == 7
        assert run(site, "try-restart") == 0
        assert run(site, "status") == 3
        assert run(site, "start") == 0
        assert exchange(site.socket, GOOD).endswith(b"\n.\n")
        for verb in ("start", "status", "reload", "force-reload", "restart", "try-restart", "condrestart", "status"):
            assert run(site, verb) == 0, verb
        assert exchange(site.socket, GOOD).endswith(b"\n.\n")
    finally:
        assert run(site, "stop") == 0
    assert run(site, "stop") == 0
    assert run(site, "status") == 3


@pytest.mark.parametrize("words", [(), ("nonsense",)])
def test_usage(site: Authd, words: tuple[str, ...]) -> None:
    assert run(site, *words) == 2


def test_without_the_program(site: Authd) -> None:
    assert run(site, "start", program="/nonexistent/authdaemond") == 5


def start_as_mail_user(directory: Path, above_owner: str) -> str:
    """Run the script for a directory, with a daemon that does nothing; return what the directory is then."""
    if above_owner:
        shutil.chown(directory.parent, above_owner)
    script = directory.parent.parent / "script"
    script.write_text(SCRIPT.read_text().replace('AUTHD_USER=""', f'AUTHD_USER="{MAIL_USER}"'))
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "AUTHDAEMOND": "/bin/true", "RUN_DIRECTORY": str(directory)}
    subprocess.run(["sh", str(script), "start"], env=environment, timeout=60, check=True)
    done = subprocess.run(["stat", "-c", "%F %a %U", str(directory)], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("above_owner", ["root", MAIL_USER])
def test_the_run_directory(root: Path, above_owner: str) -> None:
    require("runuser")
    above = root / "with blanks and 'quotes'"
    above.mkdir(mode=0o755)
    assert start_as_mail_user(above / "run", above_owner) == f"directory 750 {MAIL_USER}"
    # What is there stays as it is.
    (above / "run").chmod(0o710)
    assert start_as_mail_user(above / "run", "") == f"directory 710 {MAIL_USER}"


def test_a_link_in_the_place_of_the_run_directory(root: Path) -> None:
    require("runuser")
    (root / "above").mkdir()
    (root / "roots").mkdir(mode=0o700)
    (root / "above" / "run").symlink_to(root / "roots")
    start_as_mail_user(root / "above" / "run", MAIL_USER)
    status = (root / "roots").stat()
    assert (status.st_mode & 0o777, status.st_uid) == (0o700, 0)
