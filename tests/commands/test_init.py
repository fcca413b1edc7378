"""The System V script, run for real, with the exit statuses of the Linux Standard Base."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.daemon import Authd, command
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
