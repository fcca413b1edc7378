"""What a service manager is told, and what it hands over: systemd's ``sd_notify(3)`` and ``sd_listen_fds(3)``.

The protocols are stable and promised to stay so: datagrams of ``NAME=value`` lines to the socket in ``NOTIFY_SOCKET``, and
descriptors from 3 on whose number is in ``LISTEN_FDS``.
"""

from __future__ import annotations

import math
import os
import socket
import time
from contextlib import suppress
from pathlib import Path

FIRST_DESCRIPTOR = 3


class ServiceManager:
    """The service manager that started this process; there may be none, and then nothing here does anything.

    :param address: ``NOTIFY_SOCKET``, empty for none.
    :param watchdog: seconds between two signs of life that it wants; infinite where it wants none.
    """

    def __init__(self, address: str = "", watchdog: float = math.inf) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._interval = watchdog / 2
        self.next_sign = time.monotonic() if watchdog < math.inf else math.inf

    @classmethod
    def of_this_process(cls) -> ServiceManager:
        """Return the manager that the environment names, and take it out of the environment: it is for this process alone."""
        address = os.environ.pop("NOTIFY_SOCKET", "")
        microseconds = os.environ.pop("WATCHDOG_USEC", "")
        pid = os.environ.pop("WATCHDOG_PID", str(os.getpid()))
        wanted = microseconds.isdigit() and int(microseconds) > 0 and pid == str(os.getpid())
        return cls(address, int(microseconds) / 1e6 if wanted else math.inf)

    def ready(self, status: str) -> None:
        """Tell that clients are served, and in which state."""
        self._tell(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        """Tell that the configuration is read again; `ready` ends it."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Tell that the daemon ends."""
        self._tell("STOPPING=1\nSTATUS=stopping")

    def sign_of_life(self) -> None:
        """Tell that the daemon lives, if it is time to."""
        now = time.monotonic()
        if now >= self.next_sign:
            self._tell("WATCHDOG=1")
            self.next_sign = now + self._interval

    def _tell(self, text: str) -> None:
        if not self._address:
            return
        # Nobody there, or no room: the manager draws its own conclusions.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as datagram:
            datagram.setblocking(False)
            datagram.sendto(text.encode(), self._address)


def given_sockets() -> dict[Path, socket.socket]:
    """Return the listening Unix sockets that the service manager opened for this process, by their paths.

    What else it handed over is closed.
    """
    count = os.environ.pop("LISTEN_FDS", "")
    mine = os.environ.pop("LISTEN_PID", "") == str(os.getpid())
    os.environ.pop("LISTEN_FDNAMES", None)
    found: dict[Path, socket.socket] = {}
    if not mine or not count.isdigit():
        return found
    for descriptor in range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(count)):
        given = socket.socket(fileno=descriptor)
        given.set_inheritable(False)
        address = given.getsockname() if given.family == socket.AF_UNIX else ""
        if given.type == socket.SOCK_STREAM and isinstance(address, str) and address.startswith("/"):
            given.setblocking(False)
            found[Path(address)] = given
        else:
            given.close()
    return found
