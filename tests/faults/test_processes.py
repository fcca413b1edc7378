"""Workers and master that die, reload, stop."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import time
from pathlib import Path

from tests.support.daemon import Authd
from tests.support.processes import wait_until
from tests.support.site import GOOD, make_site
from tests.support.sysconf import write_authdaemonrc
from tests.support.wire import exchange, pre, read_to_end


def _alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


class Load:
    """Logins one after another in threads, until `stop`."""

    def __init__(self, path: Path, threads: int = 4) -> None:
        self._path = path
        self._going = True
        self.right = 0
        self.wrong: list[object] = []
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        while self._going:
            try:
                reply = exchange(self._path, GOOD)
            except OSError as error:
                self.wrong.append(error)
                time.sleep(0.001)
                continue
            if reply.endswith(b"\n.\n"):
                self.right += 1
            else:
                self.wrong.append(reply)

    def wait_for_more(self, count: int) -> None:
        """Wait until `count` more were answered."""
        goal = self.right + count
        wait_until(lambda: self.right >= goal, f"{count} more logins, {self.wrong[:3]}")

    def stop(self) -> None:
        self._going = False
        for thread in self._threads:
            thread.join()


def test_a_dead_worker_is_replaced_alone(authd: Authd) -> None:
    before = authd.workers()
    assert len(before) == 3
    os.kill(before[1], signal.SIGKILL)
    wait_until(lambda: len(authd.workers()) == 3 and before[1] not in authd.workers(), "another worker in its place")
    assert set(before) - set(authd.workers()) == {before[1]}
    assert exchange(authd.socket, GOOD).endswith(b"\n.\n")
    assert f"worker {before[1]} died by signal 9" in authd.logged()


def test_a_worker_that_keeps_dying_waits_longer_each_time(authd: Authd) -> None:
    victims = set(authd.workers())
    pid = authd.workers()[0]
    for _ in range(3):
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: len(set(authd.workers()) - victims) == 1, "another worker")
        pid = (set(authd.workers()) - victims).pop()
        victims.add(pid)
    assert re.findall(r"starts in (\S+) s", authd.logged()) == ["0.1", "0.2", "0.4"]


def test_a_reload_loses_no_request(authd: Authd) -> None:
    assert authd.process is not None
    load = Load(authd.socket)
    try:
        load.wait_for_more(50)
        for number in range(1, 5):
            before = set(authd.workers())
            write_authdaemonrc(
                authd.etc, authd.run, "authsqlite", daemons=str(number + 1), DEFAULTOPTIONS=f"x={number}"
            )
            authd.process.send_signal(signal.SIGHUP)
            wait_until(lambda: not before & set(authd.workers()), "the old workers have ended")  # noqa: B023
            load.wait_for_more(50)
            assert len(authd.workers()) == number + 1
            assert f"\nOPTIONS=x={number}\n".encode() in exchange(authd.socket, pre("user@example.org"))
    finally:
        load.stop()
    assert load.wrong == []


def test_a_reload_keeps_half_requests(authd: Authd) -> None:
    assert authd.process is not None
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(authd.socket))
        client.sendall(GOOD[:10])
        before = set(authd.workers())
        # Someone must have accepted it, else it would just be a request to the new workers.
        wait_until(lambda: any(_sockets(pid) > 1 for pid in before), "a worker holds the client")
        authd.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(before & set(authd.workers())) == 1, "only the worker that has a client is left")
        client.sendall(GOOD[10:])
        assert read_to_end(client).endswith(b"\n.\n")
    wait_until(lambda: not before & set(authd.workers()), "the old workers have ended")


def _sockets(pid: int) -> int:
    names = (os.readlink(entry.path) for entry in os.scandir(f"/proc/{pid}/fd"))
    return sum(name.startswith("socket:") for name in names)


def test_a_reload_of_broken_settings_changes_nothing(authd: Authd) -> None:
    assert authd.process is not None
    before = authd.workers()
    for content in (
        "daemons=-5\n",
        'authmodulelist="authsqlite"\nno equals sign\n',
        'authmodulelist=""\n',
        'authmodulelist="authnone"\ndaemons=2\n',
    ):
        (authd.etc / "authdaemonrc").write_text(content)
        logged = len(authd.logged())
        authd.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "stay in force" in authd.logged()[logged:], "the complaint")  # noqa: B023
        assert authd.workers() == before
        assert exchange(authd.socket, GOOD).endswith(b"\n.\n")
    assert re.search(r"authdaemonrc:1: daemons: expected a number from 1 to 1000, found -5; ", authd.logged())
    assert re.search(r'authdaemonrc:2: no "=" in this line; ', authd.logged())


def test_stopping_finishes_what_is_in_hand(authd: Authd) -> None:
    assert authd.process is not None
    with socket.socket(socket.AF_UNIX) as half, socket.socket(socket.AF_UNIX) as idle:
        workers = authd.workers()
        for client in (half, idle):
            client.settimeout(30)
            client.connect(str(authd.socket))
        half.sendall(GOOD[:10])
        idle.sendall(b"PRE")
        wait_until(lambda: sum(_sockets(pid) - 1 for pid in workers) >= 2, "workers hold both clients")
        authd.process.terminate()
        half.sendall(GOOD[10:])
        assert read_to_end(half).endswith(b"\n.\n")
        assert read_to_end(idle) == b""
    assert authd.process.wait(20) == 0
    assert not any(_alive(pid) for pid in workers)
    assert not authd.socket.exists()
    assert not (authd.run / "pid").exists()


def test_stopping_under_load_comes_to_an_end_and_cuts_nobody_off(authd: Authd) -> None:
    assert authd.process is not None
    load = Load(authd.socket, threads=8)
    try:
        load.wait_for_more(100)
        authd.process.terminate()
        assert authd.process.wait(20) == 0
    finally:
        load.stop()
    # Who found the socket was served; the others found none.
    assert {type(problem) for problem in load.wrong} <= {FileNotFoundError, ConnectionRefusedError}


def test_workers_do_not_outlive_their_master(authd: Authd) -> None:
    assert authd.process is not None
    workers = authd.workers()
    authd.process.kill()
    authd.process.wait()
    wait_until(lambda: not any(_alive(pid) for pid in workers), "the workers have ended")
    # The socket and the pid file that were left behind do not stop the next start.
    assert authd.socket.exists()
    assert (authd.run / "pid").exists()
    authd.start()
    assert exchange(authd.socket, GOOD).endswith(b"\n.\n")


def test_a_defect_costs_its_request_alone(site: Authd) -> None:
    """An error that nobody foresaw is no success and no reject, and the worker lives on."""
    site.start({"PYTHONPATH": str(Path(__file__).parent / "defect")})
    workers = site.workers()
    for _ in range(5):
        assert exchange(site.socket, pre("defect@example.org")) == b""
        assert exchange(site.socket, GOOD).endswith(b"\n.\n")
    assert site.workers() == workers
    assert "internal error" in site.logged()


def test_a_lone_client_is_served_at_any_time_of_a_reload(root: Path) -> None:
    """Nobody else comes who would wake the worker that is to take it."""
    with make_site(root, daemons="6") as daemon:
        for _ in range(8):
            before = daemon.logged().count("INFO: ready")
            assert daemon.process is not None
            daemon.process.send_signal(signal.SIGHUP)
            while daemon.logged().count("INFO: ready") == before:
                assert exchange(daemon.socket, GOOD).endswith(b"\n.\n")
            for _ in range(50):
                assert exchange(daemon.socket, GOOD).endswith(b"\n.\n")
