"""What ``pip install .`` gives: five commands and nothing missing, in an environment that has never seen the source."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.conftest import require
from tests.support.site import make_site

SOURCE = Path(__file__).parents[2]


def test_an_installation(root: Path) -> None:
    require()
    environment = root / "environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    pip = [str(environment / "bin" / "pip"), "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", root / "wheel", SOURCE], check=True, cwd=root)
    (wheel,) = (root / "wheel").iterdir()
    subprocess.run([*pip, "install", wheel], check=True, cwd=root)
    site = make_site(root)
    site.run.mkdir(mode=0o755)

    def run(name: str, *words: str) -> str:
        program = str(environment / "bin" / name)
        done = subprocess.run([program, *words], cwd=root, capture_output=True, text=True, timeout=60, check=True)
        return done.stdout

    at = ("--sysconfdir", str(site.etc))
    assert run("authd", "--version").startswith("authd ")
    assert run("authd", "check", *at).endswith(": ready\n")
    try:
        run("authdaemond", "start", *at)
        assert run("authtest", *at, "user@example.org", "secret").startswith("Authentication succeeded.\n")
        assert run("authenumerate", *at).startswith("user@example.org\t1000\t1001\t")
    finally:
        run("authdaemond", "stop", *at)
    for scheme in ("argon2", "yescrypt", "pbkdf2-sha256"):
        hashed = subprocess.run(
            [environment / "bin" / "authpasswd", scheme], input=b"secret\n", capture_output=True, check=True
        )
        assert hashed.stdout.startswith((b"$argon2", b"$y$", b"{PBKDF2"))
    package = next((environment / "lib").glob("python*/site-packages/authd"))
    assert (package / "py.typed").exists()
    assert (package / "modules" / "README.md").exists()
    shipped = {path.relative_to(package) for path in package.rglob("*.py")}
    assert shipped == {path.relative_to(SOURCE / "authd") for path in (SOURCE / "authd").rglob("*.py")}
