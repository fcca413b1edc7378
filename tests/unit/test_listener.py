"""The listening socket: where it can be, what it replaces, what it leaves alone."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from authd.server.listener import ListenError, answers, listen, somaxconn
from authd.server.pidfile import AlreadyRunning, PidFile, running


def test_it_listens_with_a_long_queue_and_is_open_to_all(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with listen(path) as listener:
        assert path.stat().st_mode & 0o777 == 0o777
        assert not listener.getblocking()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
        assert list(tmp_path.iterdir()) == [path]
    assert somaxconn() >= 128


def test_what_a_crash_left_behind_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    listen(path).close()
    assert path.exists()
    assert not answers(path)
    before = path.stat().st_ino
    with listen(path):
        assert path.stat().st_ino != before


def test_where_it_can_not_be(tmp_path: Path) -> None:
    with pytest.raises(ListenError, match="No such file or directory; create it"):
        listen(tmp_path / "missing" / "socket")
    (tmp_path / "file").touch()
    with pytest.raises(ListenError, match="not a directory; correct authdaemonvar"):
        listen(tmp_path / "file" / "socket")
    with pytest.raises(ListenError, match=r"can't listen: AF_UNIX path too long; .* shorter one in authdaemonvar"):
        listen(tmp_path / ("s" * 120))
    (tmp_path / "directory").mkdir()
    with pytest.raises(ListenError, match="can't listen: Is a directory"):
        listen(tmp_path / "directory")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["directory", "file"]
    tmp_path.chmod(0o777)
    with pytest.raises(ListenError, match="others can write to it"):
        listen(tmp_path / "socket")


def test_the_pid_file_is_one_process_s(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    assert running(file) is None
    file.write_text("12345\n")
    assert running(file) is None
    with PidFile(file) as held:
        held.write()
        assert running(file) == os.getpid()
        with pytest.raises(AlreadyRunning, match=f"already running, process {os.getpid()}") as refusal:
            PidFile(file)
        assert refusal.value.pid == os.getpid()
    assert not file.exists()
