"""What is in the daemon's memory stays there: no core dump, and no tracing by other processes of its user."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import require
from tests.support.daemon import run_command
from tests.support.planted import MAIL_UID, MAIL_USER
from tests.support.processes import wait_until
from tests.support.site import GOOD, make_site
from tests.support.wire import exchange

READ_MEMORY = """
import os, sys
os.setgid(65534)
os.setuid(65534)
try:
    os.open(f"/proc/{sys.argv[1]}/mem", os.O_RDONLY)
except PermissionError:
    print("refused")
"""
"""A process of the mail user's that looks into another."""


def can_be_read(pid: int) -> bool:
    done = subprocess.run(
        [sys.executable, "-I", "-c", READ_MEMORY, str(pid)], capture_output=True, text=True, check=True
    )
    return done.stdout != "refused\n"


AS_MAIL_USER = ("setpriv", f"--reuid={MAIL_UID}", f"--regid={MAIL_UID}", "--clear-groups", "--")


@pytest.mark.parametrize("how", ["foreground", "background", "started by its user"])
def test_memory_of_the_daemon_is_its_own(root: Path, how: str) -> None:
    require("setpriv")
    # The other process of the same user, for which the rule is made, can be read.
    with subprocess.Popen(["sleep", "60"], user=MAIL_UID, group=MAIL_UID, extra_groups=[], cwd="/") as other:
        wait_until(lambda: b"sleep" in Path(f"/proc/{other.pid}/cmdline").read_bytes(), "it runs")
        assert can_be_read(other.pid)
        other.kill()
    site = make_site(root, AUTHD_USER=MAIL_USER, daemons="2")
    site.run.mkdir(mode=0o755)
    os.chown(site.run, MAIL_UID, MAIL_UID)
    resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
    at = ("--sysconfdir", str(site.etc))
    if how == "background":
        assert run_command("authdaemond", "start", *at)[0] == 0
    else:
        site.start(prefix=AS_MAIL_USER if how == "started by its user" else ())
    try:
        master = int((site.run / "pid").read_text())
        workers = [int(pid) for pid in Path(f"/proc/{master}/task/{master}/children").read_text().split()]
        assert len(workers) == 2
        assert exchange(site.socket, GOOD).endswith(b"\n.\n")
        for pid in (master, *workers):
            limits = Path(f"/proc/{pid}/limits").read_text()
            assert next(line for line in limits.splitlines() if "core file" in line).split()[4:6] == ["0", "0"]
            assert f"Uid:\t{MAIL_UID}\t{MAIL_UID}" in Path(f"/proc/{pid}/status").read_text()
            assert not can_be_read(pid)
            assert Path(f"/proc/{pid}/mem").stat().st_uid == 0
        # A worker that comes later is no other.
        os.kill(workers[0], signal.SIGSEGV)
        children = Path(f"/proc/{master}/task/{master}/children")
        wait_until(lambda: len(set(children.read_text().split()) - {str(workers[0])}) == 2, "another worker")
        assert not any(can_be_read(int(pid)) for pid in children.read_text().split())
    finally:
        run_command("authdaemond", "stop", *at)
        site.stop()
