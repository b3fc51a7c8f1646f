"""What one connection has in flight: messages without an answer, in their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from .accept import Answer, Receipt
from .fairness import LabShare


class InFlight:
    """Receipts of one connection; each counts for its laboratory until its answer is there."""

    __slots__ = ("_receipts", "size_bytes")

    def __init__(self) -> None:
        # Most connections of a national hub have none: an empty deque takes half a kilobyte.
        self._receipts: deque[tuple[Receipt, int, LabShare | None]] | None = None
        self.size_bytes = 0
        """Of the messages."""

    def __len__(self) -> int:
        return 0 if self._receipts is None else len(self._receipts)

    def add(self, receipt: Receipt, size: int, share: LabShare | None) -> None:
        """Put a message behind the others; `share` is the laboratory that it was counted in for."""
        if self._receipts is None:
            self._receipts = deque()
        self._receipts.append((receipt, size, share))
        self.size_bytes += size

    def take_ready(self) -> Iterator[Answer]:
        """Yield the answers at the head of the line, as far as they are there."""
        while self._receipts and self._receipts[0][0].done():
            receipt, size, share = self._receipts.popleft()
            self.size_bytes -= size
            if share is not None:
                share.leave()
            if not self._receipts:
                self._receipts = None
            yield receipt.answer()

    def abandon(self) -> None:
        """Forget them all: nobody is there to be answered.

        The log has them still: each counts for its laboratory until the log has spoken.
        """
        for receipt, _, share in self._receipts or ():
            if share is not None:
                share.leave() if receipt.done() else receipt.add_done_callback(share.leave)
        self._receipts = None
        self.size_bytes = 0
