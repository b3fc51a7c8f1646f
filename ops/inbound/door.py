"""The inbound door of one process, put together: topics, turn, replies, retention."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final
from uuid import UUID

from ingest.inbound import InboundTopic
from ingest.inbound_ports import InboundLimits
from ingest.inbound_proof import Prover
from ingest.inbound_store import InboundStore
from ops.bootstrap import Door, Hub, kafka_settings
from ops.runtime.ids import new_message_id
from ops.runtime.kafka_reading import PartitionReader
from ops.runtime.lifecycle import bounded, every
from ops.runtime.logs import get_logger
from ops.runtime.metrics import METRICS
from schemas.errors import HubError

from .replies import Replies

_log = get_logger(__name__)

SECRET: Final = "inbound"  # noqa: S105 - the name of one
_COUNT_SECONDS: Final = 5.0
_PURGE_SECONDS: Final = 3_600.0


class SharedTurn:
    """Whose turn it is to read inbound topics, among all processes that could.

    Args:
        store: Keeps it.
        seconds: How long a turn lasts that is not prolonged; asked again after a third of it.
    """

    def __init__(self, store: InboundStore, seconds: float) -> None:
        self._store = store
        self._seconds = seconds
        self._owner: UUID = new_message_id()
        self._mine = False
        self._asked_at = float("-inf")

    async def is_mine(self) -> bool:
        """Say whether it is this process's turn.

        Raises:
            TransientError: The database is away.
        """
        if time.monotonic() - self._asked_at < self._seconds / 3:
            return self._mine
        asked_at = time.monotonic()
        try:
            mine = await self._store.take_turn(self._owner, self._seconds)
        except HubError:
            METRICS.inbound_reading.set(0)
            raise
        if mine != self._mine:
            _log.info("inbound_turn_begins" if mine else "inbound_turn_ends")
        self._mine, self._asked_at = mine, asked_at
        METRICS.inbound_reading.set(int(mine))
        return mine

    async def end(self) -> None:
        """Give it up, so that another process need not wait."""
        self._mine, self._asked_at = False, float("-inf")
        METRICS.inbound_reading.set(0)
        await self._store.end_turn(self._owner)


class InboundDoor:
    """What the inbound process runs, on the parts of a process that takes messages.

    Args:
        hub: The instance.
        door: Its way in.
    """

    def __init__(self, hub: Hub, door: Door) -> None:
        settings = hub.settings
        self._settings = settings
        self._store = store_of(hub)
        self._turn = SharedTurn(self._store, settings.inbound_turn_seconds)
        brokers = kafka_settings(settings, "inbound")
        reply_topic = settings.inbound_reply_topic
        self._replies = Replies(brokers, reply_topic) if reply_topic else None
        self._topics = [
            InboundTopic(
                topic,
                # Of a laboratory's transaction that was given up nothing is taken.
                lambda topic=topic: PartitionReader(brokers, topic, read_committed=True),  # type: ignore[misc]
                progress=self._store,
                turn=self._turn,
                door=door.acceptor,
                line=door.acceptor.fairness.line_of_file(),
                prover=prover_of(hub, door),
                limits=InboundLimits(
                    max_message_bytes=settings.max_frame_bytes,
                    window_records=settings.inbound_window,
                    window_bytes=settings.window_bytes,
                ),
                send=self._replies.send if self._replies is not None else None,
            )
            for topic in settings.inbound_topic_names
        ]

    async def start(self) -> None:
        """Connect to where answers go.

        Raises:
            TransientError: The brokers are away, or there is no such topic.
        """
        if self._replies is not None:
            await self._replies.start()

    def works(self, stopping: asyncio.Event) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        """Return what is to be run as long as the process does."""
        return [
            lambda: self._read(stopping),
            lambda: every(_COUNT_SECONDS, "inbound_count", self._count),
            lambda: every(_PURGE_SECONDS, "inbound_purge", self._purge),
        ]

    async def stop(self) -> None:
        """Give up the turn and let go of the connections, within seconds."""
        await bounded(self._turn.end(), 2.0, "turn")
        if self._replies is not None:
            await self._replies.close()

    async def _read(self, stopping: asyncio.Event) -> None:
        """Read all topics until told to stop, each to the end of its window, or until one fails."""
        tasks = [asyncio.ensure_future(topic.run(stopping)) for topic in self._topics]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
                raise result

    async def _count(self) -> None:
        METRICS.inbound_parked.set(await self._store.waiting())

    async def _purge(self) -> None:
        await self._store.purge(self._settings.inbound_keep_days)


def store_of(hub: Hub) -> InboundStore:
    """Return where progress and parked records are kept."""
    return InboundStore(hub.pool, hub.vault, hub.clock, max_kept=hub.settings.inbound_kept)


def prover_of(hub: Hub, door: Door) -> Prover:
    """Return what says whose a record is."""
    return Prover(door.register, hub.vault.secret(SECRET))
