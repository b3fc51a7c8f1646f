"""Which receivers this process serves: one leader a receiver, held by a lock of the database.

The lock is a session's: the kernel of a machine closes the session of a process that was killed,
and the next process leads at once. A process that cannot prove its session, once a second, stops
sending after a few; the server lets go of a session that went silent only after a minute. What a
process without the lock still writes is refused by the epoch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import msgspec

from ops.runtime.clock import Clock
from ops.runtime.logs import get_logger, place_of
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Connection, Pool, connected, lent
from routing.cursors import Lane
from routing.streams import StreamReader
from schemas.errors import FatalError, Fenced, HubError, TransientError
from schemas.topics import Stream

from . import queries
from .courier import Courier, CourierLimits
from .receiver import Kind, Receiver
from .sender import Sender
from .senders import SenderParts, open_sender
from .store import PushStore, receiver_of
from .sweeping import POOL_DEADLINE_SECONDS, answering, sweep

_log = get_logger(__name__)

_PROVE_SECONDS: Final = 1.0
_PROOF_DEADLINE_SECONDS: Final = 2.0
_PROOF_HOLDS_SECONDS: Final = 5.0
"""Far under what the server needs to give up a session that went silent (a minute)."""
_CANCEL_SECONDS: Final = 5.0
_SETTLE_SECONDS: Final = 3.0
"""After a leader that did not end in order: longer than it needs to find out."""
_AGAIN_SECONDS: Final = 5.0
"""Between two tries to serve a receiver that could not be served."""
_LOOK_SECONDS: Final = 10.0


class Served(msgspec.Struct):
    """A receiver that is served now."""

    revision: int
    stopping: asyncio.Event
    task: asyncio.Task[None]
    courier: Courier | None = None


class Couriers:
    """Serves every receiver that nobody else serves.

    Args:
        connect: How to reach the database, for the session that holds the locks.
        pool: Connections for all else.
        reader: Reads the outbox.
        clock: The time of day.
        limits: The bounds of each receiver.
        parts: What senders are made of.
        poll_seconds: How often the ends of the streams are looked at.
        keep_seconds: How long ended deliveries are kept.
        shutdown_seconds: How long the end in order may take.
    """

    def __init__(
        self,
        *,
        connect: Mapping[str, Any],
        pool: Pool,
        reader: StreamReader,
        clock: Clock,
        limits: CourierLimits,
        parts: SenderParts,
        poll_seconds: float,
        keep_seconds: float,
        shutdown_seconds: float,
    ) -> None:
        self._connect = connect
        self._pool = pool
        self._reader = reader
        self._clock = clock
        self._limits = limits
        self._parts = parts
        self._poll_seconds = poll_seconds
        self._keep_seconds = keep_seconds
        self._shutdown_seconds = shutdown_seconds
        self._served: dict[int, Served] = {}
        self._not_before: dict[int, float] = {}
        self._lanes: dict[Stream, Mapping[int, Lane]] = {}
        self._proved_at = float("-inf")
        self._fatal: FatalError | None = None
        self._stuck: set[asyncio.Task[None]] = set()
        self._shown: set[tuple[str, str]] = set()
        self._names: set[str] = set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve until told to stop.

        Raises:
            FatalError: A promise that concerns all receivers cannot be kept.
        """
        polling = asyncio.create_task(self._poll())
        try:
            while not stopping.is_set():
                try:
                    async with connected(self._connect, "push") as session:
                        try:
                            await self._lead(session, stopping, polling)
                        finally:  # before the session lets go of the locks, not after
                            await self._cancel_all()
                except TransientError as error:
                    METRICS.errors.labels("push", error.reason).inc()
                    await _slept(stopping, _PROVE_SECONDS)
        finally:
            polling.cancel()
            await asyncio.gather(polling, return_exceptions=True)

    # -------------------------------------------------------------------------------- leading

    async def _lead(
        self, session: Connection, stopping: asyncio.Event, polling: asyncio.Task[None]
    ) -> None:
        """Hold the session, prove it, and serve what it holds the locks of."""
        looked_at = float("-inf")
        while not stopping.is_set() and self._fatal is None:
            if polling.done():
                polling.result()
            receivers = await self._prove(session)
            await self._end_what_changed(session, receivers)
            for receiver in receivers:
                if receiver.state == "active" and self._may_begin(receiver):
                    await self._begin(session, receiver)
            self._show(receivers)
            if self._now() - looked_at > _LOOK_SECONDS:
                looked_at = self._now()
                await self._sweep_and_count(receivers)
            await _slept(stopping, _PROVE_SECONDS)
        if self._fatal is not None:
            raise self._fatal
        for served in self._served.values():
            served.stopping.set()
        tasks = [served.task for served in self._served.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=self._shutdown_seconds)
        await self._cancel_all()

    async def _prove(self, session: Connection) -> list[Receiver]:
        """Show that the session lives, by reading with it which receivers there are."""
        began = self._now()
        async with answering(_PROOF_DEADLINE_SECONDS):
            rows = await session.fetch(queries.LIST)
        self._proved_at = began
        return [receiver_of(row) for row in rows]

    def _may_send(self) -> bool:
        return self._now() - self._proved_at < _PROOF_HOLDS_SECONDS

    def _may_begin(self, receiver: Receiver) -> bool:
        number = receiver.receiver_id
        return number not in self._served and self._now() >= self._not_before.get(number, 0.0)

    async def _begin(self, session: Connection, receiver: Receiver) -> None:
        async with answering(_PROOF_DEADLINE_SECONDS):
            if not await session.fetchval(queries.LOCK, receiver.receiver_id):
                return  # another process leads it
        stopping = asyncio.Event()
        served = Served(
            revision=receiver.revision,
            stopping=stopping,
            task=asyncio.create_task(self._serve(receiver, stopping)),
        )
        self._served[receiver.receiver_id] = served
        self._lanes.setdefault(receiver.stream, {})
        METRICS.push_receivers.set(len(self._served))

    async def _end_what_changed(self, session: Connection, receivers: list[Receiver]) -> None:
        """Let go of those that ended, were changed, stopped or removed; others go on meanwhile."""
        standing = {each.receiver_id: each for each in receivers}
        for number, served in list(self._served.items()):
            held = standing.get(number)
            if held is None or held.state != "active" or held.revision != served.revision:
                served.stopping.set()
            if not served.task.done():
                continue
            async with answering(_PROOF_DEADLINE_SECONDS):
                await session.fetchval(queries.UNLOCK, number)
            del self._served[number]
            METRICS.push_receivers.set(len(self._served))

    # -------------------------------------------------------------------------------- serving

    async def _serve(self, receiver: Receiver, stopping: asyncio.Event) -> None:
        """Serve one receiver to its end; what goes wrong there concerns no other one."""
        number = receiver.receiver_id
        sender: Sender | None = None
        try:
            sender = open_sender(receiver, self._parts)
            store = PushStore(
                self._pool,
                receiver,
                keeps_every_word=sender.keeps_every_word,
                settle_seconds=(
                    self._limits.settle_seconds if receiver.kind is Kind.FHIR else None
                ),
            )
            courier = Courier(
                receiver=receiver,
                store=store,
                sender=sender,
                reader=self._reader,
                lanes=lambda: self._lanes.get(receiver.stream, {}),
                clock=self._clock,
                limits=self._limits,
                may_send=self._may_send,
            )
            self._served[number].courier = courier
            await courier.run(stopping, lambda: _slept(stopping, _SETTLE_SECONDS))
        except Fenced:
            self._not_before[number] = self._now() + _PROVE_SECONDS
        except FatalError as error:
            self._fatal = error
        except HubError as error:
            METRICS.errors.labels("push", error.reason).inc()
            _log.warning("receiver_waits", receiver=receiver.name, reason=error.reason)
            self._not_before[number] = self._now() + _AGAIN_SECONDS
            if not isinstance(error, TransientError):
                await self._trouble(number, error.reason)
        except Exception as error:  # noqa: BLE001 - boundary: one receiver, never the others
            METRICS.errors.labels("push", "unexpected").inc()
            _log.error(
                "receiver_failed", receiver=receiver.name, error=type(error).__name__,
                where=place_of(error),
            )  # fmt: skip
            self._not_before[number] = self._now() + _AGAIN_SECONDS
            await self._trouble(number, "unexpected")
        finally:
            if sender is not None:
                await sender.close()

    async def _trouble(self, number: int, reason: str) -> None:
        try:
            async with lent(self._pool) as connection:
                await connection.execute(queries.TROUBLE, number, reason, self._clock.now())
        except HubError as error:
            METRICS.errors.labels("push", error.reason).inc()

    async def _cancel_all(self) -> None:
        """Stop sending at once: the locks are gone, or time is up."""
        self._proved_at = float("-inf")
        tasks = {served.task for served in self._served.values()}
        for task in tasks:
            task.cancel()
        if tasks:
            # One that waits for a silent database may not end: what it still writes is refused by
            # its epoch, and nobody waits for it.
            _, stuck = await asyncio.wait(tasks, timeout=_CANCEL_SECONDS)
            self._stuck |= stuck
            for task in stuck:
                task.add_done_callback(self._stuck.discard)
        self._served.clear()
        METRICS.push_receivers.set(0)

    # -------------------------------------------------------------------------------- looking

    async def _poll(self) -> None:
        """Look at the ends of the streams that are carried, once for all receivers."""
        while True:
            for stream in list(self._lanes):
                try:
                    async with answering(POOL_DEADLINE_SECONDS):
                        lanes = await self._reader.lanes(stream)
                except FatalError as error:
                    self._fatal = error
                    return
                except HubError as error:
                    METRICS.errors.labels("push", error.reason).inc()
                    continue
                except Exception as error:  # noqa: BLE001 - boundary: else all pushes end unseen
                    METRICS.errors.labels("push", "unexpected").inc()
                    _log.error("push_failed", error=type(error).__name__, where=place_of(error))
                    continue
                if lanes != self._lanes[stream]:
                    self._lanes[stream] = lanes
                    for served in self._served.values():
                        if served.courier is not None and served.courier.stream is stream:
                            served.courier.wake.set()
            await asyncio.sleep(self._poll_seconds)

    async def _sweep_and_count(self, receivers: list[Receiver]) -> None:
        """Drop what ended long ago, some at a time, and count the dead letters."""
        before = self._clock.now() - timedelta(seconds=self._keep_seconds)
        try:
            async with answering(POOL_DEADLINE_SECONDS), self._pool.acquire() as connection:
                await sweep(connection, before)
                rows = await connection.fetch(queries.DEAD_OF_ALL)
        except TransientError as error:  # whether we lead is the session's to say
            METRICS.errors.labels("push", error.reason).inc()
            return
        dead = {row["receiver_id"]: row["dead"] for row in rows}
        for each in receivers:
            METRICS.push_dead.labels(each.name).set(dead.get(each.receiver_id, 0))

    def _show(self, receivers: list[Receiver]) -> None:
        """Give the figures of every receiver, served here or not."""
        now = self._clock.now()
        shown: set[tuple[str, str]] = set()
        for each in receivers:
            failing = (
                0.0 if each.failing_since is None else (now - each.failing_since).total_seconds()
            )
            METRICS.push_failing.labels(each.name).set(failing)
            why = each.state if each.state != "active" else "trouble" if each.trouble else ""
            if why:
                shown.add((each.name, why))
                METRICS.push_state.labels(each.name, why).set(1)
        for name, why in self._shown - shown:
            METRICS.push_state.labels(name, why).set(0)
        self._shown = shown
        names = {each.name for each in receivers}
        for name in self._names - names:  # removed: its figures say nothing more
            for figure in (
                METRICS.push_failing,
                METRICS.push_waiting,
                METRICS.push_oldest,
                METRICS.push_dead,
            ):
                figure.labels(name).set(0)
        self._names = names

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


async def _slept(stopping: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return
