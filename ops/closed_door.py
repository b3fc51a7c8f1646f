"""The MLLP port while a door cannot open yet: AR 207 to each message, and nothing is kept.

A door that starts while its log or its database is away would leave laboratories before a port
that refuses them, and nobody could tell that from a network that is down.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from ingest.accept import Answer, DoorCounts, Receipt
from ingest.ack import build_acks, framing_finding, not_now
from ingest.fairness import Line
from ingest.header import Header, HeaderError, read_header
from ingest.judge import Ruling
from ingest.lab import Peer
from ingest.listener import ListenerLimits, MllpListener
from ops.runtime.clock import Clock
from ops.runtime.logs import get_logger
from ops.runtime.metrics import METRICS
from ops.runtime.settings import Settings
from schemas.finding import Finding

_log = get_logger(__name__)
REASON: Final = "not_now"
_STOP_SECONDS: Final = 1.0


class ClosedDoor:
    """Answers AR 207 to whoever can be answered; needs neither register nor log.

    Args:
        clock: The time of an answer.
        counts: What is answered and not logged.
    """

    def __init__(self, clock: Clock, counts: DoorCounts) -> None:
        self._clock = clock
        self._counts = counts

    def receive(
        self,
        raw: bytes,
        peer: Peer | None = None,  # noqa: ARG002 - nobody is let in
        line: Line | None = None,  # noqa: ARG002 - nothing is counted for a laboratory
    ) -> Receipt:
        """Turn one message away; it may be sent again. Never raises."""
        header = read_header(raw)
        if isinstance(header, HeaderError):
            return self._answer(header.header, header.finding)
        return self._answer(header, not_now(REASON))

    def turn_away(self, reason: str, head: bytes) -> Receipt | None:
        """Answer a frame that was not taken whole, if its header can be read."""
        self._counts.add("unreadable", reason)
        header = read_header(head)
        return (
            None
            if isinstance(header, HeaderError)
            else self._answer(header, framing_finding(reason))
        )

    def _answer(self, header: Header, found: Finding) -> Receipt:
        self._counts.add("AR", found.code)
        METRICS.answers.labels("AR").inc()
        parts = build_acks(
            header, Ruling.REJECT, (found,), at=self._clock.now(), wants_no_answer=False
        )
        return Receipt(Answer(parts=parts, try_again=True))


class Meanwhile:
    """Opens a closed door after a while; `end` gives the port back.

    Args:
        settings: Port and bounds.
        clock: The time of an answer.
        opens: False for a port that speaks TLS: without the register nobody could be let in.
    """

    def __init__(self, settings: Settings, clock: Clock, *, opens: bool = True) -> None:
        self.counts = DoorCounts()
        self._settings = settings
        limits = ListenerLimits(
            max_frame_bytes=settings.max_frame_bytes,
            max_connections=settings.max_connections,
            max_connections_per_address=settings.max_connections_per_address,
            accepts_per_second=settings.accepts_per_second,
        )
        self._listener = MllpListener(ClosedDoor(clock, self.counts), limits)
        self._opens = opens and settings.mllp_port != 0
        self._task = asyncio.create_task(self._open())

    async def end(self) -> None:
        """Answer what was taken, close, and let the real door have the port."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self._listener.stop(_STOP_SECONDS)

    async def _open(self) -> None:
        settings = self._settings
        if not self._opens:
            return
        await asyncio.sleep(settings.log_away_seconds)
        try:
            await self._listener.start(
                settings.mllp_host, settings.mllp_port, reuse_port=settings.mllp_share_port
            )
        except OSError:
            return  # whoever has the port answers, or the real door will say that it is taken
        METRICS.door_closed.set(1)
        _log.error("door_closed", reason=REASON, remedy="bring back what the process waits for")


@asynccontextmanager
async def answering_meanwhile(
    settings: Settings, clock: Clock, *, opens: bool = True
) -> AsyncIterator[Meanwhile]:
    """Answer AR 207 while the block opens what a door needs, if that takes long."""
    meanwhile = Meanwhile(settings, clock, opens=opens)
    try:
        yield meanwhile
    finally:
        await meanwhile.end()
