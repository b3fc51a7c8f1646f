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
from ingest.lab import Lab, Peer
from ingest.labs import LabRegister
from ingest.listener import ListenerLimits, MllpListener
from ingest.peers import CertificateDoor
from ops.opening import read_held
from ops.runtime.clock import Clock
from ops.runtime.logs import get_logger
from ops.runtime.metrics import METRICS
from ops.runtime.settings import Settings
from ops.runtime.tls import TlsMaterial
from ops.tls_doors import certificate_door
from schemas.errors import HubError, TransientError
from schemas.finding import Finding

_log = get_logger(__name__)
REASON: Final = "not_now"
REMEDY: Final = "bring back what the process waits for: /readyz of the api names it"
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
        if found.code == REASON:
            METRICS.not_taken.inc()
        parts = build_acks(
            header, Ruling.REJECT, (found,), at=self._clock.now(), wants_no_answer=False
        )
        return Receipt(Answer(parts=parts, try_again=True))


class Meanwhile:
    """Opens a closed door after a while; `end` gives the port back.

    Args:
        settings: Port and bounds.
        clock: The time of an answer.
        material: Of a port that speaks TLS: it opens with the copy of the register on disk, for
            who is in that; without a copy nobody could be known, and it refuses.
    """

    def __init__(self, settings: Settings, clock: Clock, material: TlsMaterial | None) -> None:
        self.counts = DoorCounts()
        self._settings = settings
        self._clock = clock
        self._material = material
        limits = ListenerLimits(
            max_frame_bytes=settings.max_frame_bytes,
            max_connections=settings.max_connections,
            max_connections_per_address=settings.max_connections_per_address,
            accepts_per_second=settings.accepts_per_second,
        )
        self._listener = MllpListener(ClosedDoor(clock, self.counts), limits)
        self.opening = asyncio.create_task(self._open())
        """Done once the port is open, or will not be."""

    async def end(self) -> None:
        """Answer what was taken, close, and let the real door have the port."""
        self.opening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.opening
        await self._listener.stop(_STOP_SECONDS)

    async def _open(self) -> None:
        settings = self._settings
        if settings.mllp_port == 0:
            return
        await asyncio.sleep(settings.log_away_seconds)
        tls = None
        if self._material is not None:
            try:
                tls = self._known_peers(self._material)
            except HubError as error:
                _log.error("closed_door_refuses", reason=error.reason, remedy=error.remedy)
                return
        try:
            await self._listener.start(
                settings.mllp_host,
                settings.mllp_port,
                reuse_port=settings.mllp_share_port,
                tls=tls,
            )
        except OSError:
            return  # whoever has the port answers, or the real door will say that it is taken
        METRICS.door_closed.set(1)
        _log.error("door_closed", reason=REASON, remedy=REMEDY)

    def _known_peers(self, material: TlsMaterial) -> CertificateDoor | None:
        """Return who is let in, by the copy of the register on disk.

        Raises:
            TransientError: There is none, or none that may be used.
            FatalError: The keys are damaged.
        """
        held = read_held(self._settings, self._clock)
        if held is None:
            raise TransientError(
                "no_register_copy", "without the register nobody can be known: start the database"
            )
        register = LabRegister(NobodyElse(), register_unknown=False, clock=self._clock)
        register.take(held.labs, held.taken_at)
        return certificate_door(self._settings, material, register, self._clock)


class NobodyElse:
    """A register's store while there is none to ask."""

    async def all(self) -> list[Lab]:
        """Refuse: nothing is read here."""
        raise TransientError("database_away", "the copy on disk is all there is")

    async def register(self, registry_id: str) -> Lab | None:  # noqa: ARG002 - nobody is
        """Register nobody."""
        return None


@asynccontextmanager
async def answering_meanwhile(
    settings: Settings, clock: Clock, material: TlsMaterial | None = None
) -> AsyncIterator[Meanwhile]:
    """Answer AR 207 while the block opens what a door needs, if that takes long."""
    meanwhile = Meanwhile(settings, clock, material)
    try:
        yield meanwhile
    finally:
        await meanwhile.end()
