"""What a service manager is told and hands over, without one."""

from __future__ import annotations

import math
import os
import socket
from pathlib import Path

import pytest

from authd.server.notify import ServiceManager, given_sockets


@pytest.fixture
def heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    """The manager's side."""
    side = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    side.bind(str(tmp_path / "notify"))
    side.setblocking(False)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    return side


def test_words(heard: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    with heard:
        monkeypatch.setenv("WATCHDOG_USEC", "2000000")
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
        manager = ServiceManager.of_this_process()
        assert "NOTIFY_SOCKET" not in os.environ
        assert "WATCHDOG_USEC" not in os.environ
        manager.ready("5 workers serve")
        assert heard.recv(999) == b"READY=1\nSTATUS=5 workers serve"
        manager.reloading()
        assert heard.recv(999).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        manager.stopping()
        assert heard.recv(999) == b"STOPPING=1\nSTATUS=stopping"
        manager.sign_of_life()
        assert heard.recv(999) == b"WATCHDOG=1"
        manager.sign_of_life()
        with pytest.raises(BlockingIOError):
            heard.recv(999)
        assert manager.next_sign < math.inf


@pytest.mark.parametrize(("usec", "pid"), [("0", None), ("x", None), ("1000000", "1")])
def test_no_watchdog(heard: socket.socket, monkeypatch: pytest.MonkeyPatch, usec: str, pid: str | None) -> None:
    with heard:
        monkeypatch.setenv("WATCHDOG_USEC", usec)
        if pid is not None:
            monkeypatch.setenv("WATCHDOG_PID", pid)
        manager = ServiceManager.of_this_process()
        assert manager.next_sign == math.inf
        manager.sign_of_life()
        with pytest.raises(BlockingIOError):
            heard.recv(999)


def test_nobody_there(tmp_path: Path) -> None:
    ServiceManager().ready("unheard")
    ServiceManager(str(tmp_path / "missing")).ready("unheard")
    ServiceManager("@authd-test-nobody").ready("unheard")


@pytest.mark.parametrize(("count", "pid"), [("", ""), ("1", "1"), ("x", str(os.getpid()))])
def test_no_sockets_are_given(monkeypatch: pytest.MonkeyPatch, count: str, pid: str) -> None:
    monkeypatch.setenv("LISTEN_FDS", count)
    monkeypatch.setenv("LISTEN_PID", pid)
    assert given_sockets() == {}
    assert "LISTEN_FDS" not in os.environ
