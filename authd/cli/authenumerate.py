"""authenumerate: list all accounts.

Output and exit status are those of Courier's command of this name.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from authd.account import Entry
from authd.cli.common import FAILED, OK, command, complain, socket_path, unreachable, version
from authd.cli.terminal import for_output
from authd.client import ask
from authd.config.hints import reason
from authd.config.problem import ConfigError
from authd.numbers import atoi
from authd.protocol.client import ReplyError, decode_enumeration, encode_enumerate

USAGE = "Usage: authenumerate [-s] [-o]"

HELP = f"""{USAGE}

List all accounts: name, uid, gid, home directory and maildir, separated by tabs.

  -s                 leave out those that have the option disableshared
  -o                 show the options too
  --socket PATH      socket of the daemon, in place of the one in authdaemonrc
  --sysconfdir DIR   directory of authdaemonrc
  --help             show this
  --version          show the version
"""

CUT_OFF = (
    "authenumerate: the list was cut off: a module can't list its accounts now; the daemon's log says why, "
    "and so does authd check"
)


@command("authenumerate")
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    flags = {"-s": False, "-o": False}
    values: dict[str, str | None] = {"--socket": None, "--sysconfdir": None}
    words = list(sys.argv[1:] if arguments is None else arguments)
    while words:
        name, equals, value = words.pop(0).partition("=")
        if name == "--help":
            print(HELP, end="")
            return OK
        if name == "--version":
            print(version("authenumerate"))
            return OK
        if name in flags and not equals:
            flags[name] = True
        elif name in values and (equals or words):
            values[name] = value if equals else words.pop(0)
        else:
            complain(USAGE)
            return FAILED
    try:
        path = socket_path(values["--socket"], values["--sysconfdir"])
    except ConfigError as error:
        complain(str(error))
        return FAILED
    try:
        reply = ask(path, encode_enumerate())
    except (BrokenPipeError, ConnectionResetError):
        complain(CUT_OFF)
        return FAILED
    except OSError as error:
        complain(f"ERR: authdaemon: s_connect() failed: {reason(error)}")
        complain(f"authenumerate: {unreachable(path, error)}")
        return FAILED
    return _show(reply, shared_only=flags["-s"], with_options=flags["-o"])


def _show(reply: bytes, shared_only: bool, with_options: bool) -> int:
    output = sys.stdout.buffer
    try:
        for entry in decode_enumeration(reply):
            if shared_only and _is_unshared(entry):
                continue
            line = b"%b\t%d\t%d\t%b\t%b" % (entry.address, entry.uid, entry.gid, entry.home, entry.maildir)
            output.write(for_output(line + (b"\t" + entry.options if with_options else b"") + b"\n", output))
    except ReplyError:
        output.flush()
        complain(CUT_OFF)
        return FAILED
    output.flush()
    return OK


def _is_unshared(entry: Entry) -> bool:
    options = dict(option.partition(b"=")[::2] for option in entry.options.split(b","))
    return atoi(options.get(b"disableshared", b"0")) != 0
