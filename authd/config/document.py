"""Write the reference of all settings from their tables: ``python -m authd.config.document docs``.

That makes ``settings.md``, the manual pages of the two kinds of configuration file, and ``services.md``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from authd.config import authdaemonrc, ldaprc, mysqlrc, pgsqlrc, sqliterc
from authd.config.setting import Setting
from authd.services import SERVICES

_DAEMON_SYNTAX = (
    'One `name="value"` a line, from the first column on and without blanks around `=`; `#` begins a remark; no '
    "continuation. Of two equal names the last counts. Odd values are taken as Courier takes them; `authd check` tells for what. "
    "Courier ignores the names that begin with `AUTHD_`."
)
_MODULE_SYNTAX = (
    "`NAME`, blanks, value; a backslash at the end of a value continues it on the next line; `#` begins a comment line; "
    "the first of two equal names counts. Remarks behind a value would be part of it. An edit is picked up at the next request."
)
_PAGES: tuple[tuple[str, str, Iterable[Setting]], ...] = (
    ("authdaemonrc", _DAEMON_SYNTAX, authdaemonrc.SETTINGS),
    ("authmysqlrc", _MODULE_SYNTAX, mysqlrc.SETTINGS),
    ("authldaprc", "As authmysqlrc.", ldaprc.SETTINGS),
    ("authpgsqlrc", "As authmysqlrc.", pgsqlrc.SETTINGS),
    ("authsqliterc", "As authmysqlrc.", sqliterc.SETTINGS),
)


def document() -> dict[str, str]:
    """Return the content of each file, by its path below the documentation's directory."""
    return {
        "settings.md": _markdown(),
        "services.md": _services(),
        "man/authdaemonrc.5": _manual("authdaemonrc", "settings of the authentication daemon", _PAGES[:1]),
        "man/authmysqlrc.5": _manual(
            "authmysqlrc",
            "where the accounts of the authentication daemon are in a database",
            _PAGES[1:],
            "authldaprc",
            "authpgsqlrc",
            "authsqliterc",
        ),
    }


def _markdown() -> str:
    parts = ["# Settings\n\nWritten by `make docs` from the tables that the parsers use.\n"]
    for name, syntax, settings in _PAGES:
        parts.append(f"\n## {name}\n\n{syntax}\n\n| setting | default | meaning |\n|---|---|---|\n")
        parts += [f"| `{setting.name}` | {_shown(setting.default)} | {setting.meaning} |\n" for setting in settings]
    return "".join(parts)


_SERVICES = """# Services, and the options that keep an account out of them

Written by `make docs` from the table that the daemon uses.

An account's options (MYSQL_AUXOPTIONS_FIELD and its like, DEFAULTOPTIONS for all) can keep it out of a service:
`disableimap=1` of IMAP, `disableinsecureimap=1` of IMAP where the connection is not encrypted. Clients of Courier's
protocol see the options and enforce them. Clients of saslauthd and of Dovecot's auth protocol never see them: authd
enforces them there, and so does the Lua script for Dovecot. A right password is then refused, and the log says
`disabled for this service by the account's options`.

The service is the name that the mail server tells. Servers have several names for one service:

| options | services that they keep an account out of |
|---|---|
"""

_AFTER_SERVICES = """
- Upper and lower case are the same in these names. An option's name is as it is written here.
- Any other service `NAME` has the options `disableNAME` and `disableinsecureNAME`. So has each of the names above:
  `disablesubmission=1` keeps an account out of what is called `submission`, and not of `smtp`.
- `imaps` and its like do not make a connection encrypted. Dovecot's protocol tells whether it is; saslauthd's does
  not, and the `disableinsecure` options have no effect there.
- Cyrus IMAP says `imap`, `pop`, `lmtp`, `nntp`, `sieve`, `http`, `mupdate` and `csync`; Dovecot `imap`, `pop3`,
  `lmtp`, `sieve` and `submission`; Courier `imap`, `pop3`, `esmtp`, `courier` and `webmail`; Postfix, Exim and
  sendmail say `smtp` unless they are told otherwise.
"""


def _services() -> str:
    rows = []
    for service, others in SERVICES.items():
        names = ", ".join(f"`{name}`" for name in (service, *others))
        rows.append(f"| `disable{service}`, `disableinsecure{service}` | {names} |\n")
    return _SERVICES + "".join(rows) + _AFTER_SERVICES


def _manual(title: str, purpose: str, pages: Iterable[tuple[str, str, Iterable[Setting]]], *others: str) -> str:
    names = ", ".join((title, *others))
    parts = [
        '.\\" Written by `make docs` from the tables that the parsers use.\n',
        f'.TH {title.upper()} 5 "" authd "Mail administration"\n.SH NAME\n{names} \\- {purpose}\n.SH DESCRIPTION\n',
        f"The files are beside each other in the directory of {_roff('`authdaemonrc`')}; see\n.BR authdaemond (8).\n",
    ]
    for name, syntax, settings in pages:
        parts.append(f".SH {name.upper()}\n{_roff(syntax)}\n")
        for setting in settings:
            default = _roff(_shown(setting.default))
            parts.append(f".TP\n.B {setting.name}\n{_roff(setting.meaning)}\nDefault: {default}.\n")
    parts.append(".SH SEE ALSO\n.BR authdaemond (8),\n.BR authd (8)\n")
    return "".join(parts)


def _roff(text: str) -> str:
    """Return Markdown's `text` as manual pages have it, one sentence a line."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    text = re.sub(r"`([^`]+)`", r"\\fB\1\\fR", text)
    text = re.sub(r"(?<=[.;:]) (?=[A-Z\\])", "\n", text)
    return re.sub(r"(?m)^([.'])", r"\\&\1", text)


def _shown(default: object) -> str:
    if default is None:
        return "not set"
    text = " ".join(default) if isinstance(default, tuple) else str(default)
    return f"`{text}`" if text else "empty"


if __name__ == "__main__":
    for path, content in document().items():
        (Path(sys.argv[1]) / path).write_text(content)
