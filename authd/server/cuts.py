"""Values that were cut before a client saw them: one warning an account, for as long as a worker lives."""

from __future__ import annotations

from collections.abc import Sequence

from authd.account import Account, Entry, cut_account, cut_entry
from authd.server.log import LOGGER, quoted

MAX_WARNINGS = 4096
"""Accounts that are remembered as warned about; when there are more, warnings begin anew."""


class Cuts:
    """Cuts values where they would forge what follows them, and warns of it, never with the value."""

    def __init__(self) -> None:
        self._warned: set[int] = set()

    def account(self, account: Account, user: bytes, module: str, clear_is_given: bool) -> Account:
        """Return `account` with every value cut at its first NUL or line feed.

        :param user: the name that was asked for, for the log.
        :param clear_is_given: whether the cleartext password is what the client gave; no fault of the account's.
        """
        whole, fields = cut_account(account, clear_is_given)
        if fields:
            self._warn(module, user, fields, "NUL or line feed")
        return whole

    def entry(self, entry: Entry, module: str) -> Entry:
        """Return `entry` with every value cut at its first NUL, line feed or tab."""
        whole, fields = cut_entry(entry)
        if fields:
            self._warn(module, whole.address, fields, "NUL, line feed or tab")
        return whole

    def _warn(self, module: str, user: bytes, fields: Sequence[str], what: str) -> None:
        key = hash((module, user, *fields))
        if key in self._warned:
            return
        if len(self._warned) >= MAX_WARNINGS:
            self._warned.clear()
        self._warned.add(key)
        LOGGER.warning(
            "cut: module=%s user=%s fields=%s reason=%s", module, quoted(user), ",".join(fields), f'"{what}"'
        )
