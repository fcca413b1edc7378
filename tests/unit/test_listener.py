"""The listening socket: where it can be, what it replaces, what it leaves alone."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import socket
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from authd.config.listening import ListenerSettings, default_listener
from authd.server.directory import check_writable
from authd.server.listener import ListenError, answers, listen, occupied, open_listeners
from authd.server.pidfile import AlreadyRunning, PidFile, running


def at(path: Path, **settings: Any) -> ListenerSettings:
    return replace(default_listener(path), **settings)


def test_it_listens_with_a_long_queue_and_is_open_to_all(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    listener = listen(at(path))
    assert path.stat().st_mode & 0o777 == 0o777
    assert not listener.socket.getblocking()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    assert list(tmp_path.iterdir()) == [path]
    with ExitStack() as clients:
        # More than Python's own default queue has room for, without one being accepted.
        for _ in range(200):
            client = clients.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            client.connect(str(path))
    listener.close()
    assert not path.exists()


def test_mode_owner_and_group(tmp_path: Path) -> None:
    me, mine = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
    listener = listen(at(tmp_path / "socket", mode=0o640, owner=me, group=mine))
    status = (tmp_path / "socket").stat()
    assert (status.st_mode & 0o777, status.st_uid, status.st_gid) == (0o640, os.geteuid(), os.getegid())
    listener.close()
    with pytest.raises(ListenError, match="there is no user nobody-at-all; create it, or correct owner="):
        listen(at(tmp_path / "socket", owner="nobody-at-all"))
    with pytest.raises(ListenError, match="there is no group nobody-at-all; create it, or correct group="):
        listen(at(tmp_path / "socket", group="nobody-at-all"))
    assert list(tmp_path.iterdir()) == []


def test_what_a_crash_left_behind_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    listen(at(path)).socket.close()
    assert path.exists()
    assert not answers(path)
    before = path.stat().st_ino
    listener = listen(at(path))
    assert path.stat().st_ino != before
    with pytest.raises(ListenError, match="another daemon listens here"):
        listen(at(path))
    listener.close()


def test_a_name_that_is_somebody_else_s_is_left_alone(tmp_path: Path) -> None:
    first = listen(at(tmp_path / "socket"))
    second = listen(at(tmp_path / "socket"), first.identity)
    first.close()
    assert (tmp_path / "socket").exists()
    second.close()
    assert not (tmp_path / "socket").exists()


def test_those_that_are_the_same_are_kept(tmp_path: Path) -> None:
    one, two, three = (at(tmp_path / name) for name in ("one", "two", "three"))
    before = open_listeners([one, two])
    after = open_listeners([replace(one, passwords=False), replace(two, mode=0o600), three], before)
    assert after[0].socket is before[0].socket
    assert not after[0].settings.passwords
    assert after[1].socket is not before[1].socket
    assert (tmp_path / "two").stat().st_mode & 0o777 == 0o600
    before[1].close()
    (tmp_path / "shut").mkdir(mode=0o777)
    (tmp_path / "shut").chmod(0o777)
    with pytest.raises(ListenError, match="others can write"):
        open_listeners([one, at(tmp_path / "four"), at(tmp_path / "shut" / "five")], after)
    for listener in after:
        assert occupied(listener.settings.path)
        listener.close()
    assert [path.name for path in tmp_path.iterdir()] == ["shut"]


def test_where_it_can_not_be(tmp_path: Path) -> None:
    with pytest.raises(ListenError, match="No such file or directory; create it"):
        listen(at(tmp_path / "missing" / "socket"))
    (tmp_path / "file").touch()
    with pytest.raises(ListenError, match="not a directory; correct the path in authdaemonvar or AUTHD_LISTEN"):
        listen(at(tmp_path / "file" / "socket"))
    with pytest.raises(ListenError, match=r"can't listen: AF_UNIX path too long; .* shorter one in authdaemonvar"):
        listen(at(tmp_path / ("s" * 120)))
    (tmp_path / "directory").mkdir()
    with pytest.raises(ListenError, match=r"directory: a directory of user \S+ is in the place of the socket"):
        listen(at(tmp_path / "directory"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["directory", "file"]
    tmp_path.chmod(0o777)
    with pytest.raises(ListenError, match="others can write to it"):
        listen(at(tmp_path / "socket"))


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


def test_a_name_that_stays_is_told_in_the_systems_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "socket")

    listener = listen(at(tmp_path / "socket"))
    monkeypatch.setattr("authd.server.listener.remove", refuse)
    listener.close()
    assert [record.getMessage().rpartition("it: ")[2] for record in caplog.records] == ["Permission denied"]


def test_a_directory_is_looked_at_without_proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[object] = []
    access = os.access

    def noted(path: Any, *words: Any, **options: Any) -> bool:
        looked.append(path)
        return access(path, *words, **options)

    monkeypatch.setattr(os, "access", noted)
    check_writable(tmp_path)
    assert looked == ["."]
