"""The answer to ``ENUMERATE``: all accounts."""

from __future__ import annotations

from collections.abc import Iterator

from authd.account import Entry
from authd.chain import Chain
from authd.modules.base import TemporaryFailure
from authd.server.cuts import Cuts
from authd.server.log import LOGGER, ip_field, quoted


class AccountListing:
    """All accounts, as they come; one line in the log when they have.

    :param cuts: cuts values that the lines of a list can't carry.
    :ivar complete: whether they came to their end.
    """

    def __init__(self, chain: Chain, remote_ip: bytes, cuts: Cuts) -> None:
        self._cuts = cuts
        self._chain = chain
        self._remote_ip = remote_ip
        self._count = 0
        self._failed = False
        self.complete = False

    def blocks(self) -> Iterator[tuple[str, Iterator[Entry]]]:
        """Yield each module's name and accounts; what one can't tell is missing, and the list not complete."""
        for module, entries in self._chain.enumerate():
            yield module, self._guarded(module, entries)
        if self._failed:
            return
        self.complete = True
        LOGGER.info("enumerate: result=ok accounts=%d%s", self._count, ip_field(self._remote_ip))

    def _guarded(self, module: str, entries: Iterator[Entry]) -> Iterator[Entry]:
        try:
            for entry in entries:
                self._count += 1
                yield self._cuts.entry(entry, module)
        except TemporaryFailure as failure:
            self._failed = True
            LOGGER.warning(
                "enumerate: result=tempfail module=%s%s reason=%s",
                module,
                ip_field(self._remote_ip),
                quoted(str(failure).encode()),
            )
