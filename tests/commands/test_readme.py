"""The README's examples, typed as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from tests.support.daemon import BIN, Authd

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def examples() -> list[tuple[str, str]]:
    """Return each command and what it says."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL):
        for example in re.split(r"(?m)^\$ ", block)[1:]:
            command, _, output = example.partition("\n")
            found.append((command, output))
    return found


def test_the_examples() -> None:
    """An ``...`` stands for anything.  The daemon of the demonstration is started again once the first example is over."""
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    daemon: Authd | None = None
    try:
        for command, output in examples():
            done = subprocess.run(
                command,
                shell=True,
                cwd=ROOT,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=120,
                check=False,
            )
            pattern = ".*".join(re.escape(part.strip("\n")) for part in output.split("..."))
            assert re.fullmatch(pattern, done.stdout.decode().strip("\n"), re.DOTALL), (command, done.stdout.decode())
            if command.startswith("make demo"):
                assert done.returncode == 0
                daemon = Authd(ROOT / "demo" / "etc", ROOT / "demo" / "run")
                daemon.start()
    finally:
        if daemon is not None:
            daemon.stop()
    assert daemon is not None


def test_there_are_examples() -> None:
    assert [command.split()[0] for command, _ in examples()] == [
        *("make", "authtest", "authtest", "authtest", "authtest", "authenumerate", "authd")
    ]


def test_every_page_that_is_linked_is_there() -> None:
    for page in [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("authd/**/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links {target}"
