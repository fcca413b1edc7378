"""Clients that stall, vanish, crowd or never read cost others nothing."""

from __future__ import annotations

import errno
import os
import resource
import socket
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.support.daemon import Authd
from tests.support.processes import wait_until
from tests.support.site import GOOD, make_site
from tests.support.wire import connected, exchange, read_to_end

_connected = partial(connected, seconds=30)


def test_half_requests_hold_nobody_up(authd: Authd) -> None:
    """Ten times as many clients as workers send half a request and stay; everybody else is served as before."""
    with ExitStack() as stack:
        stalled = [_connected(stack, authd.socket, GOOD[: length % (len(GOOD) - 1)]) for length in range(30)]
        for _ in range(200):
            assert exchange(authd.socket, GOOD).endswith(b"\n.\n")
        rest = stalled[20]
        rest.sendall(GOOD[20:])
        assert read_to_end(rest).endswith(b"\n.\n")


def test_a_silent_client_is_dropped_after_ten_seconds(authd: Authd) -> None:
    with ExitStack() as stack:
        began = time.monotonic()
        clients = [_connected(stack, authd.socket, sent) for sent in (b"", b"PRE", b"AUTH 50\nimap\n", b"A=B\n")]
        for client in clients:
            assert read_to_end(client) == b""
        assert 9 < time.monotonic() - began < 13


def test_a_dripping_client_is_dropped_all_the_same(authd: Authd) -> None:
    """A byte now and then does not buy more time: the limit is for the whole request."""
    with ExitStack() as stack:
        client = _connected(stack, authd.socket)
        client.settimeout(0.5)
        began = time.monotonic()
        closed = False
        while not closed and time.monotonic() - began < 15:
            try:
                client.sendall(b"A")
                closed = client.recv(1) == b""
            except TimeoutError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                closed = True
        assert closed
        assert time.monotonic() - began < 13


def test_clients_that_do_not_read_hold_nobody_up(authd: Authd) -> None:
    """An enumeration does not fit the socket's buffer; three who don't read theirs would hold all three workers."""
    with ExitStack() as stack:
        idle = [_connected(stack, authd.socket, b"ENUMERATE\n") for _ in range(6)]
        for client in idle:
            assert client.recv(1, socket.MSG_PEEK) == b"#"
        for _ in range(20):
            assert exchange(authd.socket, GOOD).endswith(b"\n.\n")
        lists = [read_to_end(client) for client in idle]
        assert all(reply.endswith(b"\n.\n") and reply.count(b"\n") > 2000 for reply in lists)


def test_vanishing_clients_leave_nothing_behind(tmp_path: Path) -> None:
    """Thousands connect and go at every point of a request; descriptors and memory stay as they were."""
    # With several workers one might see its first request, and open its database, at any time.
    with make_site(tmp_path, daemons="1") as daemon:
        [worker] = daemon.workers()

        def descriptors() -> int:
            return len(os.listdir(f"/proc/{worker}/fd"))

        def memory() -> int:
            return int(Path(f"/proc/{worker}/statm").read_text().split()[1]) * resource.getpagesize()

        def come_and_go(rounds: int) -> None:
            for number in range(rounds):
                with socket.socket(socket.AF_UNIX) as client:
                    client.connect(str(daemon.socket))
                    client.sendall(GOOD[: number % len(GOOD) + 1])
                if number % 500 == 499:
                    # So that the queue of those who wait to be accepted does not overflow.
                    exchange(daemon.socket, GOOD)

        come_and_go(1000)
        before, used = descriptors(), memory()
        come_and_go(5000)
        wait_until(lambda: descriptors() <= before, "every connection is closed")
        assert memory() - used < 2**20
        assert exchange(daemon.socket, GOOD).endswith(b"\n.\n")


def test_a_crowd_is_not_turned_away(authd: Authd) -> None:
    """Courier's and Cyrus' clients connect without waiting, and fail where the queue is full."""
    with ExitStack() as stack:
        crowd = []
        for _ in range(1000):
            client = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK))
            assert client.connect_ex(str(authd.socket)) in (0, errno.EINPROGRESS)
            crowd.append(client)
        for client in crowd:
            client.settimeout(30)
            client.sendall(GOOD)
        assert all(read_to_end(client).endswith(b"\n.\n") for client in crowd)


def test_running_out_of_descriptors_costs_the_oldest_stalled_client(site: Authd) -> None:
    site.start(prefix=("prlimit", "--nofile=64:64"))
    with ExitStack() as stack:
        stalled = [_connected(stack, site.socket, b"PRE ") for _ in range(300)]
        for _ in range(20):
            assert exchange(site.socket, GOOD).endswith(b"\n.\n")
        assert read_to_end(stalled[0]) == b""
    assert "out of descriptors" in site.logged()


@pytest.mark.parametrize("tail", [b"\n", b"\n\n\n", b"x" * 3000])
def test_bytes_behind_a_request_do_not_spoil_the_reply(authd: Authd, tail: bytes) -> None:
    """Unread bytes at a close would reach the client as an error in place of the end; Cyrus sends a newline too many."""
    with ExitStack() as stack:
        client = _connected(stack, authd.socket, GOOD + tail)
        reply = b""
        while piece := client.recv(65536):
            reply += piece
        assert reply.endswith(b"\n.\n")
