"""Write the reference page of all settings from their tables: ``python -m authd.config.document > docs/settings.md``."""

from __future__ import annotations

from collections.abc import Iterable

from authd.config import authdaemonrc, mysqlrc, sqliterc
from authd.config.setting import Setting

_PAGES: tuple[tuple[str, str, Iterable[Setting]], ...] = (
    (
        "authdaemonrc",
        'One `name="value"` a line; `#` begins a remark; no continuation. Courier ignores the names that begin with `AUTHD_`.',
        authdaemonrc.SETTINGS,
    ),
    (
        "authmysqlrc",
        "`NAME`, blanks, value; a backslash at the end continues on the next line; `#` begins a comment line; the first of two "
        "equal names counts. Remarks behind a value would be part of it. An edit is picked up at the next request.",
        mysqlrc.SETTINGS,
    ),
    ("authsqliterc", "As authmysqlrc.", sqliterc.SETTINGS),
)


def document() -> str:
    """Return the page."""
    parts = ["# Settings\n\nWritten by `make docs` from the tables that the parsers use.\n"]
    for name, syntax, settings in _PAGES:
        parts.append(f"\n## {name}\n\n{syntax}\n\n| setting | default | meaning |\n|---|---|---|\n")
        parts += [f"| `{setting.name}` | {_shown(setting.default)} | {setting.meaning} |\n" for setting in settings]
    return "".join(parts)


def _shown(default: object) -> str:
    if default is None:
        return "not set"
    text = " ".join(default) if isinstance(default, tuple) else str(default)
    return f"`{text}`" if text else "empty"


if __name__ == "__main__":
    print(document(), end="")
