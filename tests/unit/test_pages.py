"""What the start alone needed is let go of, and nothing else."""

from __future__ import annotations

import subprocess
import sys

from authd.server.pages import _MAPPING

SMAPS = """\
00400000-0041f000 r--p 00000000 fe:00 260811                             /usr/bin/python3.11
Size:                124 kB
Anonymous:             0 kB
VmFlags: rd mr mw me
7f825b265000-7f825b267000 r-xp 00000000 fe:00 339490                     /usr/lib/libffi.so.8.1.2
Anonymous:             0 kB
VmFlags: rd mr mw me
7f825b26f000-7f825b270000 r--p 0000a000 fe:00 339490                     /usr/lib/relocated.so
Anonymous:             4 kB
VmFlags: rd mr mw me
7f825b270000-7f825b271000 rw-p 0000b000 fe:00 339490                     /usr/lib/written.so
Anonymous:             0 kB
7f825b272000-7f825b273000 r--s 00000000 fe:00 339491                     /usr/lib/shared
Anonymous:             0 kB
7f825b300000-7f825b400000 r--p 00000000 00:00 0
Anonymous:             0 kB
7ffdd5a3c000-7ffdd5a3e000 r-xp 00000000 00:00 0                          [vdso]
Anonymous:             0 kB
"""


def test_only_what_is_as_in_its_file() -> None:
    assert _MAPPING.findall(SMAPS) == [("00400000", "0041f000"), ("7f825b265000", "7f825b267000")]


def test_everything_works_afterwards() -> None:
    code = """
import hashlib, pymysql, resource, sqlite3, ssl
from pathlib import Path
from authd.passwords import hash_password, verify
from authd.server.pages import let_go_of_files

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1])

before = resident()
let_go_of_files()
after = resident()
assert verify(b"x", hash_password(b"x", "sha512-crypt")).value == "match"
assert sqlite3.connect(":memory:").execute("select 1").fetchall() == [(1,)]
ssl.create_default_context()
print(after < before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n", done.stderr
