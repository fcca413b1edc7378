"""The how-tos as the tests' source: what a page says is in a file is what the test puts there, but for the paths."""

from __future__ import annotations

import re
from pathlib import Path

CLIENTS = Path(__file__).parents[2] / "docs" / "clients"

_BLOCK = re.compile(r"\b[Ii]n\s`(/[^`\n]+)`[^\n]*:\n\n```\n(.*?)```\n", re.DOTALL)


def block(page: str, file: str, under: str = "", /, **replaced: Path) -> str:
    """Return what `page` says is in `file`: the block below ``in `file`:``.

    :param under: the heading that it is under, where the page has several.
    :param replaced: nothing but paths; ``run="/tmp/x"`` puts that in the place of authd's directory, and so on.
    """
    text = (CLIENTS / f"{page}.md").read_text()
    if under:
        text = text.partition(f"\n## {under}\n")[2]
    content: str = next(content for name, content in _BLOCK.findall(text) if name == file)
    for name, value in replaced.items():
        assert PLACES[name] in content, f"{page}: {file} does not name {PLACES[name]}"
        content = content.replace(PLACES[name], str(value))
    return content


def setting(page: str, name: str, **replaced: Path) -> str:
    """Return the value that `page` gives a setting of authdaemonrc."""
    content = block(page, "/etc/courier/authdaemonrc", **replaced)
    match = re.fullmatch(rf'{name}="(.*)"\n', content)
    assert match is not None, content
    return match[1]


PLACES = {
    "run": "/run/courier/authdaemon",
    "queue": "/var/spool/postfix",
    "mailbox": "/var/mailbox",
    "etc_postfix": "/etc/postfix",
    "mysql": "/run/mysqld/mysqld.sock",
    "lua": "/etc/dovecot/authd.lua",
    "saslauthd": "/run/saslauthd",
}
"""The paths that a test has elsewhere."""
