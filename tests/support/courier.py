"""The real Courier, as the judge: its daemon and its commands in a mount namespace of their own.

Courier's paths are compiled in, so ``/etc/courier`` and ``/run/courier`` are bind-mounted over private
directories for the process alone.  From outside, its socket is ``run/authdaemon/socket`` below the root.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support.namespace import with_mounts
from tests.support.processes import Service, end, unix_socket_answers, wait_until

DAEMON = "/usr/lib/courier/courier-authlib/authdaemond"


def in_namespace(etc: Path, run: Path, command: list[str], mounts: Mapping[str, Path] | None = None) -> list[str]:
    """Return the argument vector that runs `command` with Courier's directories, and those of `mounts`, replaced."""
    return with_mounts({**(mounts or {}), "/etc/courier": etc, "/run/courier": run}, command)


class Courier(Service):
    """The real authdaemond on the configuration files in `etc`.

    :param mounts: what else of the machine is replaced for it.
    """

    def __init__(self, root: Path, etc: Path, mounts: Mapping[str, Path] | None = None) -> None:
        self._mounts = mounts or {}
        self.etc = etc
        self.run = root / "run"
        self.socket = self.run / "authdaemon" / "socket"
        self.log = root / "courier.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the daemon in the foreground, its log in `log`, and wait for its socket.

        It is started the way its own ``authdaemond`` script does it: with every setting of authdaemonrc
        in the environment.
        """
        (self.run / "authdaemon").mkdir(parents=True, exist_ok=True)
        command = ["sh", "-c", f"set -a; . /etc/courier/authdaemonrc; exec {DAEMON}"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                in_namespace(self.etc, self.run, command, self._mounts),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_until(lambda: unix_socket_answers(self.socket), "Courier's authdaemond accepts connections")

    def stop(self) -> None:
        """End the daemon by the process id that `start` kept."""
        if self._process is not None:
            end(self._process)
            self._process = None
