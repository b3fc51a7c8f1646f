"""How fast files are read: as fast as can be while nobody else sends, else a share of the time.

Whether somebody sends is read off the intake log itself: which ends moved by more than files put
there. So every door of every process counts, and no door has to tell. A laboratory that shares its
partition with a file being read is seen only where it sends more than the file does.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from typing import Final

from ingest.header import Header, read_header
from ops.runtime.intake_log import IntakeLog
from ops.runtime.metrics import METRICS
from schemas.envelope import partition_of
from schemas.errors import HubError, TransientError

_LOOK_SECONDS: Final = 0.5
_QUIET_SECONDS: Final = 3.0
_FIRST_WAIT_SECONDS: Final = 0.2
_LONGEST_WAIT_SECONDS: Final = 5.0
_LONGEST_PAUSE_SECONDS: Final = 1.0


class Pace:
    """One a process, shared by all files that it reads.

    Args:
        share: The share of the time that files may take while others send.
        patience_seconds: How long a file waits for a closed door in all.
        partitions: Of the instance.
    """

    def __init__(self, *, share: float, patience_seconds: float, partitions: int) -> None:
        self._share = share
        self._partitions = partitions
        self.patience_seconds = patience_seconds
        self._own: Counter[int] = Counter()
        self._others_at = -_QUIET_SECONDS

    @property
    def others_send(self) -> bool:
        """Whether another door took messages within the last seconds."""
        return time.monotonic() - self._others_at < _QUIET_SECONDS

    def note_own(self, raw: bytes) -> None:
        """Say that a file sends this message now."""
        header = read_header(raw)
        if isinstance(header, Header):
            self._own[partition_of(header.registry_id, self._partitions)] += 1

    async def watch(self, log: IntakeLog) -> None:
        """Look for ever who else sends; while the log does not answer, somebody may."""
        before: dict[int, int] = {}
        own_before: Counter[int] = Counter()
        while True:
            try:
                ends = await log.end_offsets()
            except HubError as error:
                METRICS.errors.labels("batch_pace", error.reason).inc()
                self.note_others()
            else:
                own, self._own = self._own, Counter()
                if before:
                    # What was under way at the last look may have come since: it counts twice.
                    ours = own + own_before
                    if any(end - before.get(p, 0) > ours[p] for p, end in ends.items()):
                        self.note_others()
                before, own_before = ends, own
            await asyncio.sleep(_LOOK_SECONDS)

    def note_others(self) -> None:
        """Say that another door took a message just now."""
        self._others_at = time.monotonic()

    async def breathe(self, worked_seconds: float) -> None:
        """Give way after a stretch of work: to this process's loop always, to others by share."""
        if self._share >= 1 or not self.others_send:
            await asyncio.sleep(0)
            return
        METRICS.limit_hits.labels("batch_share").inc()
        pause = worked_seconds * (1 - self._share) / self._share
        await asyncio.sleep(min(pause, _LONGEST_PAUSE_SECONDS))


class Patience:
    """Waits of one stretch in which the door is closed: longer and longer, jittered, bounded."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self._wait = _FIRST_WAIT_SECONDS

    async def wait(self) -> None:
        """Wait before the next try.

        Raises:
            TransientError: Patience is at its end (`batch_waits`); the file keeps its place.
        """
        if time.monotonic() >= self._until:
            METRICS.limit_hits.labels("batch_patience").inc()
            raise TransientError("batch_waits", "the door is closed: the file is tried again later")
        await asyncio.sleep(self._wait * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
        self._wait = min(self._wait * 2, _LONGEST_WAIT_SECONDS)
