"""authd itself, run as its users run it: the installed command in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from tests.support import passwords
from tests.support.processes import Service, end, wait_until

BIN = Path(sys.executable).parent


def command(name: str) -> str:
    """Return the path of one of the installed commands."""
    return str(BIN / name)


def run_command(
    name: str, *words: str, typed: str = "", environment: dict[str, str] | None = None
) -> tuple[int, str, str]:
    """Run an installed command with `typed` at its standard input; return exit status, output and complaints."""
    if name == "authtest" and "--password-stdin" in words:
        passwords.use(*typed.splitlines())
    done = subprocess.run(
        [command(name), *words],
        input=typed,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    return done.returncode, done.stdout, done.stderr


def run(*words: str, shell: str = "", **more: object) -> tuple[int, str, str]:
    """Run a command, or the line of shell that has it as ``"$@"``; return exit status, output and complaints."""
    prefix = ("sh", "-c", shell, "sh") if shell else ()
    done = subprocess.run(
        [*prefix, *words],
        capture_output=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
        **more,  # type: ignore[call-overload]
    )
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


class Authd(Service):
    """The daemon on the configuration files in `etc`, in the foreground, its log in a file.

    Its socket is where authdaemonrc's ``authdaemonvar`` says.
    """

    def __init__(self, etc: Path, run: Path) -> None:
        self.etc = etc
        self.run = run
        self.socket = run / "socket"
        self.log = run.with_name(f"{run.name}.log")
        self.process: subprocess.Popen[bytes] | None = None
        self._may_log_passwords = False

    def start(self, environment: dict[str, str] | None = None, prefix: tuple[str, ...] = ()) -> None:
        """Start the daemon, through the command `prefix` if there is one, and wait until all its workers serve."""
        logged = self.log.stat().st_size if self.log.exists() else 0
        self.launch(environment, prefix)
        process = self.process
        assert process is not None

        def ready() -> bool:
            assert process.poll() is None, self.logged()[-3000:]
            return b"INFO: ready" in self.log.read_bytes()[logged:]

        wait_until(ready, "authd is ready")

    def launch(self, environment: dict[str, str] | None = None, prefix: tuple[str, ...] = ()) -> None:
        """Start the daemon as `start` does, and wait for nothing."""
        self._note_level()
        self.run.mkdir(mode=0o755, parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*prefix, command("authdaemond"), "start", "--foreground", "--sysconfdir", str(self.etc)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **(environment or {})},
            )

    def reload(self, settle: bool = True) -> None:
        """Have the daemon read its configuration again, and wait until the new workers serve.

        :param settle: whether to wait until those of before are gone as well, who may still accept a client or two.
        """
        assert self.process is not None
        self._note_level()
        before, workers = self.logged().count("INFO: ready"), set(self.workers())
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.logged().count("INFO: ready") > before, "authd has reloaded")
        if settle:
            wait_until(lambda: not workers & set(self.workers()), "the workers of before have ended")

    def stop(self) -> None:
        """End the daemon by the process that `start` kept."""
        if self.process is not None:
            end(self.process)
            self.process = None
            self._note_level()
            if not self._may_log_passwords:
                passwords.assert_none_in(self.logged(), str(self.log))

    def _note_level(self) -> None:
        """See whether the configuration has passwords logged, which holds for what is in the log from now on."""
        file = self.etc / "authdaemonrc"
        with suppress(OSError):
            content = file.read_text(errors="replace")
            self._may_log_passwords |= passwords.DEBUG_WITH_PASSWORDS.search(content) is not None

    def logged(self) -> str:
        """Return all that the daemon has logged."""
        return self.log.read_text(errors="replace")

    def workers(self) -> list[int]:
        """Return the process ids of the workers that are alive."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]
