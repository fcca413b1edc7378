"""A program for authpipe: what Courier's documentation of that module asks for, and misbehaviour for those who want it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.support.accounts import COLUMNS, ROWS

TEMPLATE = """#!{python} -I
import json, os, sys, time

ACCOUNTS = {{}}
for row in json.loads({rows!r}):
    ACCOUNTS.setdefault(row["username"].encode(), row)
FIELDS = [("UID", "uidnumber"), ("GID", "gidnumber"), ("HOME", "homedir"), ("ADDRESS", "username"), ("NAME", "name"),
          ("MAILDIR", "maildir"), ("QUOTA", "quota"), ("PASSWD2", "clearpwd"), ("OPTIONS", "options")]

def say(reply):
    while reply:
        reply = reply[os.write(1, reply):]

def line():
    text = b""
    while not text.endswith(b"\\n"):
        byte = os.read(0, 1)
        if not byte:
            sys.exit(0)
        text += byte
    return text[:-1]

def account(user):
    row = ACCOUNTS[user]
    fields = ["%s=%s" % (name, row[column]) for name, column in FIELDS if row[column] not in (None, "")]
    return "".join(field + "\\n" for field in fields).encode() + b".\\n"

def misbehave(user):
    what = user.partition(b"@")[0]
    if what == b"dies":
        sys.exit(3)
    if what == b"half":
        say(b"UID=5\\nGID=6\\n")
        sys.exit(0)
    if what == b"chatty":
        say(b"FAIL\\n")
        time.sleep(0.05)
        say(b"more\\n")
    elif what == b"sleeps":
        time.sleep(3600)
    elif what == b"garbage":
        say(b"good morning\\n.\\n")
    elif what == b"endless":
        say(b"x" * 200000)
    else:
        say(b"FAIL\\n")

while True:
    request = line()
    word, _, rest = request.partition(b" ")
    if word == b"PRE":
        user = rest.split(b" ", 2)[2]
        say(account(user)) if user in ACCOUNTS else misbehave(user)
    elif word == b"AUTH":
        body, wanted = b"", int(rest)
        while len(body) < wanted:
            body += os.read(0, wanted - len(body))
        fields = [field for field in body.split(b"\\n") if field] + [b""] * 4
        kind, user, password = fields[:3] if fields[0] == b"login" else fields[1:4]
        if kind != b"login" or user not in ACCOUNTS:
            misbehave(user)
        elif (ACCOUNTS[user]["clearpwd"] or "").encode() == password:
            say(account(user))
        else:
            say(b"FAIL\\n")
    elif word == b"PASSWD":
        service, user, old, new = rest.split(b"\\t")[:4]
        good = user in ACCOUNTS and (ACCOUNTS[user]["clearpwd"] or "").encode() == old
        if good:
            ACCOUNTS[user]["clearpwd"] = new.decode()
        say(b"OK\\n" if good else b"FAIL\\n")
    elif word == b"ENUMERATE":
        columns = ("username", "uidnumber", "gidnumber", "homedir", "maildir", "options")
        for user, row in ACCOUNTS.items():
            say(("\\t".join(row[column] or "" for column in columns) + "\\n").encode())
        say(b".\\n")
    else:
        sys.exit(1)
"""


def write_program(etc: Path, accounts: Iterable[tuple[Any, ...]] = ROWS) -> Path:
    """Write the program, with those of `accounts` whose fields fit lines, as ``authProg`` into `etc`."""
    rows = []
    for values in accounts:
        row = dict(zip(COLUMNS, values, strict=True))
        if row["username"] and not any("\n" in str(value) or "\t" in str(value) for value in values):
            rows.append(row)
    file = etc / "authProg"
    file.write_text(TEMPLATE.format(python=sys.executable, rows=json.dumps(rows)))
    file.chmod(0o755)
    return file
