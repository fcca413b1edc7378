"""Private courier-imap and courier-pop, on loopback ports, in a namespace whose authdaemond is the test's."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.support.courier import in_namespace
from tests.support.howto import block
from tests.support.processes import Service, end, free_tcp_port, tcp_port_answers, wait_until

TCPD = "/usr/sbin/couriertcpd"
LOGIN = {"imap": "/usr/lib/courier/courier/imaplogin", "pop3": "/usr/lib/courier/courier/courierpop3login"}
SERVER = {"imap": "/usr/bin/imapd", "pop3": "/usr/lib/courier/courier/courierpop3d"}
FILES = {"imap": "/etc/courier/imapd", "pop3": "/etc/courier/pop3d"}

PROGRAMS = ("unshare", TCPD, *LOGIN.values(), *SERVER.values())


class CourierServer(Service):
    """One of the two.

    :param kind: ``imap`` or ``pop3``.
    :param root: for its files.
    :param etc: the configuration directory that it is to see.
    :param run: what it sees as ``/run/courier``; the daemon that it asks is in ``authdaemon`` there.
    """

    def __init__(self, kind: str, root: Path, etc: Path, run: Path) -> None:
        self.port = free_tcp_port()
        self._kind = kind
        self._log = root / f"courier-{kind}.log"
        self._settings = root / f"courier-{kind}.settings"
        self._etc, self._run = etc, run
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start with Debian's settings and what the how-to changes of them; wait for the port."""
        shipped = Path(FILES[self._kind]).read_text()
        self._settings.write_text(shipped + block("courier", FILES[self._kind]))
        tcpd = f"{TCPD} -address=127.0.0.1 -nodnslookup -noidentlookup {self.port}"
        words = f"{tcpd} {LOGIN[self._kind]} {SERVER[self._kind]} Maildir"
        script = f"set -a; . {self._settings}; PROTOCOL={self._kind.upper()}; exec {words}"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                in_namespace(self._etc, self._run, ["sh", "-c", script]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"]},
            )
        wait_until(self._answers, f"courier's {self._kind} server answers")

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            end(self._process)
            self._process = None

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        return tcp_port_answers(self.port)
