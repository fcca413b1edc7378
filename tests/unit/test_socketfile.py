"""A socket's name while another process changes what is there between a look and a move."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from authd.config.listening import default_listener
from authd.server import directory, listener, socketfile
from authd.server.directory import Identity, ListenError, identity_of, open_directory, opened_directory, remove
from authd.server.listener import check_place, listen


@pytest.fixture(params=["renameat2", "link"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With the system call, and as on a file system that does not have it."""
    if request.param == "link":

        def missing(source: int, target: int, name: str, flags: int) -> None:
            raise NotImplementedError

        monkeypatch.setattr(directory, "rename", missing)
        monkeypatch.setattr(socketfile, "rename", missing)
    return str(request.param)


def leave_dead_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))


def after(monkeypatch: pytest.MonkeyPatch, name: str, action: Callable[[], None]) -> None:
    """Run `action` once, right after the first call of a function of socketfile."""
    real = getattr(socketfile, name)
    calls: list[int] = []

    def wrapped(*arguments: object) -> object:
        result = real(*arguments)
        calls.append(1)
        if len(calls) == 2:
            action()
        return result

    monkeypatch.setattr(socketfile, name, wrapped)


@pytest.mark.usefixtures("system")
@pytest.mark.parametrize("dead", [False, True])
def test_a_file_that_appears_after_the_look_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dead: bool) -> None:
    path = tmp_path / "socket"
    if dead:
        leave_dead_socket(path)

    def appear() -> None:
        path.unlink(missing_ok=True)
        path.write_text("kept")

    # The second look is the last before the move.
    after(monkeypatch, "obstacle", appear)
    with pytest.raises(ListenError, match=r"a regular file of user .* is in the place of the socket"):
        listen(default_listener(path))
    assert path.read_text() == "kept"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.usefixtures("system")
def test_a_daemon_that_begins_to_listen_after_the_look_keeps_its_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        after(monkeypatch, "obstacle", other.listen)
        with pytest.raises(ListenError, match="another daemon listens here; stop it first"):
            listen(default_listener(path))
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.usefixtures("system")
def test_a_dead_socket_is_replaced_and_one_s_own_too(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    leave_dead_socket(path)
    check_place(default_listener(path), False)
    first = listen(default_listener(path))
    second = listen(default_listener(path), first.identity)
    first.close()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    second.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("system")
def test_a_file_put_in_place_while_the_name_is_removed_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "socket"
    held = listen(default_listener(path))
    real = directory.private_directory

    def private(descriptor: int, name: str) -> object:
        path.unlink()
        path.write_text("kept")
        return real(descriptor, name)

    monkeypatch.setattr(directory, "private_directory", private)
    held.close()
    assert path.read_text() == "kept"
    assert list(tmp_path.iterdir()) == [path]


def test_what_can_not_be_told_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "socket"
    leave_dead_socket(path)
    before = path.stat().st_ino

    class Refused(socket.socket):
        def connect(self, _address: object) -> None:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("authd.server.socketfile.socket.socket", Refused)
    with pytest.raises(ListenError, match="a daemon may listen on it: Permission denied; find out with ss -xlp"):
        listen(default_listener(path))
    assert path.stat().st_ino == before
    assert list(tmp_path.iterdir()) == [path]


def test_only_the_file_that_is_meant_is_removed(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    (tmp_path / "other").touch()
    mine: Identity = identity_of((tmp_path / "mine").lstat())
    with opened_directory(tmp_path) as descriptor:
        assert not remove(descriptor, "other", mine)
        assert not remove(descriptor, "missing", mine)
        assert remove(descriptor, "mine", mine)
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_links_of_one_s_own_are_followed_and_loops_are_told(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real/../real")
    os.close(open_directory(tmp_path / "link" / "."))
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ListenError, match="Too many levels of symbolic links; name the directory itself"):
        open_directory(tmp_path / "loop")


def test_the_working_directory_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path)
    held = listen(default_listener(Path("run/socket")))
    assert Path.cwd() == tmp_path
    assert not listener.occupied(Path("run/nothing"))
    assert listener.occupied(Path("run/socket"))
    held.close()
