"""The filter for fail2ban, tried by fail2ban itself."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

FILTER = Path(__file__).parents[2] / "conf" / "fail2ban" / "authd.conf"
COMMON = Path("/etc/fail2ban/filter.d/common.conf")


def as_syslog(lines: list[str]) -> str:
    """Return lines as a syslog daemon writes them."""
    return "".join(f"Nov 24 04:10:42 mail authdaemond[4711]: {line}\n" for line in lines)


def matched(root: Path, log: str) -> int:
    """Return how many lines of a log fail2ban finds; `root` takes its files."""
    (root / "filter.d").mkdir(exist_ok=True)
    for file in (FILTER, COMMON):
        shutil.copy(file, root / "filter.d")
    (root / "mail.log").write_text(log)
    command = ["fail2ban-regex", str(root / "mail.log"), str(root / "filter.d" / "authd.conf")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"(?m)^Lines: \d+ lines, \d+ ignored, (\d+) matched", done.stdout)
    assert found is not None, done.stdout + done.stderr
    return int(found[1])
