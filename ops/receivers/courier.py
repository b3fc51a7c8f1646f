"""Carries one stream to one receiver: takes, sends, notes; at least once, in order per report.

Whatever it has under way when it dies is sent again by the next leader, with the same id. Of a
report one event is under way at a time, and of each part only the newest version is sent. A
receiver that is away is left alone as a whole, and then tried with one event.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from ops.runtime.clock import Clock
from ops.runtime.failpoints import hit
from ops.runtime.logs import get_logger
from ops.runtime.metrics import METRICS
from ops.runtime.traces import TRACES
from routing.cursors import Lane
from routing.outbox_reader import share_out
from routing.pushing import Answer, Outcome, Protocol, PushLimits, Tried, next_of, rest_of
from routing.streams import StreamReader
from schemas.errors import PermanentError, TransientError
from schemas.events import StreamEvent
from schemas.topics import Stream

from .earlier import NOTHING, Before, earlier_of
from .receiver import Receiver
from .sender import Delivery, Sender
from .store import Noted, Part, PushStore, Row

_log = get_logger(__name__)

_IDLE_SECONDS: Final = 1.0
"""How long it sleeps at most: figures of what waits grow old with it."""

_GATHER_SECONDS: Final = 0.02
_BUSY_SECONDS: Final = 0.25
_SHORT_SECONDS: Final = 0.02

Lanes = Callable[[], Mapping[int, Lane]]


class CourierLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of one receiver."""

    waiting: int
    in_flight: int
    in_flight_bytes: int
    dead_letters: int
    timeout_seconds: float
    settle_seconds: float
    retry: PushLimits


class Courier:
    """Serves one receiver for as long as this process leads it.

    Args:
        receiver: Whom.
        store: Its rows.
        sender: Sends to it.
        reader: Reads the outbox.
        lanes: The ends of its stream, as they were looked at last.
        clock: The time of day.
        limits: The bounds.
        may_send: Whether this process may still hold itself for the leader.
    """

    def __init__(
        self,
        *,
        receiver: Receiver,
        store: PushStore,
        sender: Sender,
        reader: StreamReader,
        lanes: Lanes,
        clock: Clock,
        limits: CourierLimits,
        may_send: Callable[[], bool],
    ) -> None:
        self._receiver = receiver
        self._store = store
        self._sender = sender
        self._reader = reader
        self._lanes = lanes
        self._clock = clock
        self._limits = limits
        self._may_send = may_send
        self._positions: dict[int, int] = {}
        self._waiting = 0
        self._next_at: datetime | None = None
        self._flying: dict[UUID, Row] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended: list[tuple[Row, Answer, Mapping[str, int]]] = []
        self._got_through_at = receiver.answered_at
        self._streak = 0
        self._rests_until: datetime | None = None
        self._failure: Exception | None = None
        self.wake = asyncio.Event()
        """Set by whoever sees news: of the stream, of an answer."""

    @property
    def stream(self) -> Stream:
        """Whose events it carries."""
        return self._receiver.stream

    async def run(self, stopping: asyncio.Event, settle: Callable[[], Awaitable[None]]) -> None:
        """Serve until told to stop; what is under way then is waited for and noted.

        Args:
            stopping: Set to end in order.
            settle: Waits until whoever led before can have nothing under way.

        Raises:
            Fenced: Another leads.
            TransientError: The database is away.
        """
        if not await self._store.lead(self._clock.now()):
            await settle()
        self._positions = await self._store.positions()
        try:
            await self._look()
            while not stopping.is_set():
                self.wake.clear()
                if not await self._step():
                    break
                await self._sleep(stopping)
            if self._tasks:
                await asyncio.wait(self._tasks)
            await self._note()
            await self._store.resign()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._show_flying()

    # -------------------------------------------------------------------------------- a step

    async def _step(self) -> bool:
        """Note, take, send; False where the receiver is to be served no more."""
        if not await self._note() or not await self._take():
            return False
        await self._send()
        await self._look()
        return True

    async def _take(self) -> bool:
        lanes = self._lanes()
        for partition, lane in lanes.items():
            if self._positions.get(partition, lane.last_seq) < lane.begins - 1:
                _log.error("receiver_gap", receiver=self._receiver.name, partition=partition)
                await self._store.stop("gap", f"retention took events of partition {partition}")
                return False
        room = self._limits.waiting - self._waiting
        known = {each: lane for each, lane in lanes.items() if each in self._positions}
        shares = share_out(self._positions, known, max(0, room))
        if not shares:
            return True
        try:
            superseded = await self._store.take(
                self._positions, shares, self._flying, self._clock.now()
            )
        except TransientError as error:
            if error.reason != "outbox_moved":
                raise
            return True  # the next look at the ends of the stream tells what retention took
        hit("push.after_take")
        for partition, share in shares.items():
            self._positions[partition] += share
        self._waiting += sum(shares.values())
        self._next_at = self._clock.now()
        self._count_superseded(superseded)
        return True

    async def _send(self) -> None:
        now = self._clock.now()
        free = self._free(now)
        if free <= 0 or self._next_at is None or self._next_at > now or not self._may_send():
            return
        reports = [row.report_id for row in self._flying.values()]
        rows = self._fitting(await self._store.due(free, reports, now))
        if not rows:
            return
        events = await self._reader.read_at(
            self._receiver.stream, [(row.partition, row.seq) for row in rows]
        )
        earlier: Mapping[Part, Before] = {}
        if self._sender.wants_earlier:
            earlier = await earlier_of(rows, self._store, self._reader, self._receiver.stream)
        for row in rows:
            event = events.get((row.partition, row.seq))
            if isinstance(event, PermanentError):
                self._end(row, event.reason)
                continue
            if event is None or (event.body is None and row.kind != "withdrawn"):
                self._end(row, "expired")
                continue
            before = earlier.get((row.report_id, row.part), NOTHING)
            delivery = Delivery(event=event, earlier=before.events, left=before.left)
            self._flying[row.event_id] = row
            task = asyncio.create_task(self._fly(row, delivery))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._show_flying()

    def _end(self, row: Row, reason: str) -> None:
        """Let an event that cannot be sent at all be a dead letter; the others go on."""
        self._ended.append((row, _hub_says(reason), {}))
        self.wake.set()

    def _free(self, now: datetime) -> int:
        """Return how many may be sent now: none while the receiver rests, then one that tries."""
        if self._rests_until is not None and now < self._rests_until:
            return 0
        most = 1 if self._streak else self._limits.in_flight
        return most - len(self._flying)

    def _fitting(self, rows: list[Row]) -> list[Row]:
        """Return the first rows that fit the bound of bytes; one, where nothing is under way."""
        size = sum(row.payload_bytes for row in self._flying.values())
        fitting: list[Row] = []
        for row in rows:
            size += row.payload_bytes
            if size > self._limits.in_flight_bytes and (fitting or self._flying):
                break
            fitting.append(row)
        return fitting

    async def _fly(self, row: Row, delivery: Delivery) -> None:
        """Send one event; its answer waits to be noted."""
        began = asyncio.get_running_loop().time()
        put: Mapping[str, int] = {}
        try:
            put = self._sender.puts(delivery)
            hit("push.before_send")
            async with asyncio.timeout(self._limits.timeout_seconds):
                answer = await self._sender.send(delivery)
            hit("push.after_send")
        except TimeoutError:
            answer = Answer(
                outcome=Outcome.TRANSIENT,
                protocol=Protocol.HUB,
                code="timeout",
                whole=True,
                unsure=True,
            )
        except PermanentError as error:
            answer = _hub_says(error.reason)
        except Exception as error:  # noqa: BLE001 - boundary: a task's end; the service raises it
            self._failure = error
            self.wake.set()
            return
        seconds = asyncio.get_running_loop().time() - began
        METRICS.push_seconds.observe(seconds)
        if TRACES.is_on:
            self._trace(row, delivery, answer, seconds)
        METRICS.push_deliveries.labels(self._receiver.name, answer.outcome.value).inc()
        if answer.outcome is Outcome.ACCEPTED and not row.attempts:
            _time_first(delivery.event, self._clock.now())
        self._ended.append((row, answer, put))
        # Those that come together are noted together: one transaction, not one each. Where all have
        # answered there is nothing to wait for.
        if len(self._ended) >= len(self._flying):
            self.wake.set()
        else:
            asyncio.get_running_loop().call_later(_GATHER_SECONDS, self.wake.set)

    def _trace(self, row: Row, delivery: Delivery, answer: Answer, seconds: float) -> None:
        now = time.time_ns()
        TRACES.span(
            "push",
            now - int(seconds * 1e9),
            trace=row.message_id,
            ended=now,
            receiver=self._receiver.name,
            outcome=answer.outcome.value,
            code=answer.code,
            stream=delivery.event.stream.value,
        )

    # -------------------------------------------------------------------------------- answers

    async def _note(self) -> bool:
        """Write the answers that came; False where they end the service."""
        ended, self._ended = self._ended, []
        if self._failure is not None:
            raise self._failure
        if not ended:
            return True
        now = self._clock.now()
        noted = [self._noted(row, answer, put, now) for row, answer, put in ended]
        for row, _, _ in ended:
            self._flying.pop(row.event_id, None)
        superseded = await self._store.note(noted, self._flying, now)
        hit("push.after_note")
        self._count_superseded(superseded)
        deaths = 0
        for each in noted:
            if each.next.state != "waiting":
                self._waiting -= 1
                METRICS.push_ended.labels(self._receiver.name, each.next.state).inc()
            if each.next.state == "dead":
                deaths += 1
                _log.warning(
                    "delivery_dead", receiver=self._receiver.name, code=each.answer.code, count=1
                )
        self._show_flying()
        if any(each.answer.code == "410" for each in noted):
            await self._store.stop("paused", "the receiver says that it is gone (410)")
            return False
        return not deaths or await self._bears_its_dead()

    def _noted(self, row: Row, answer: Answer, put: Mapping[str, int], now: datetime) -> Noted:
        chance = random.random()  # noqa: S311 - jitter, no secret
        after = next_of(
            answer,
            Tried(failures=row.failures, tried_at=row.tried_at),
            others_got_through_at=self._got_through_at,
            limits=self._limits.retry,
            chance=chance,
        )
        if answer.outcome is Outcome.TRANSIENT and answer.whole:
            self._rest(answer, now, chance)
        elif answer.protocol is not Protocol.HUB:
            self._streak, self._rests_until = 0, None
        if answer.is_taken:
            self._got_through_at = now
        return Noted(
            row=row,
            answer=answer,
            next=after,
            next_at=now + timedelta(seconds=after.wait_seconds),
            put=put,
        )

    def _rest(self, answer: Answer, now: datetime, chance: float) -> None:
        """Leave the receiver alone; all that was under way when it went away is one failure."""
        begins = self._rests_until is None or now >= self._rests_until
        self._streak += int(begins)
        until = now + timedelta(seconds=rest_of(answer, self._streak, self._limits.retry, chance))
        if begins or answer.retry_after_seconds is not None:
            self._rests_until = max(until, self._rests_until or until)

    async def _bears_its_dead(self) -> bool:
        dead = await self._store.dead()
        METRICS.push_dead.labels(self._receiver.name).set(dead)
        if dead < self._limits.dead_letters:
            return True
        _log.error("receiver_paused", receiver=self._receiver.name, count=dead)
        await self._store.stop("paused", "too many dead letters")
        return False

    # -------------------------------------------------------------------------------- figures

    async def _look(self) -> None:
        """See what waits, and when the next is due."""
        found = await self._store.waiting()
        self._waiting, self._next_at = found.count, found.next_at
        name = self._receiver.name
        behind = sum(
            lane.last_seq - self._positions[each]
            for each, lane in self._lanes().items()
            if each in self._positions
        )
        METRICS.push_waiting.labels(name).set(found.count + behind)
        oldest = found.oldest_at
        age = 0.0 if oldest is None else (self._clock.now() - oldest).total_seconds()
        METRICS.push_oldest.labels(name).set(age)

    def _show_flying(self) -> None:
        METRICS.push_in_flight.labels(self._receiver.name).set(len(self._flying))

    def _count_superseded(self, count: int) -> None:
        if count:
            self._waiting -= count
            METRICS.push_ended.labels(self._receiver.name, "superseded").inc(count)

    async def _sleep(self, stopping: asyncio.Event) -> None:
        """Wait for news, for the next that is due, or for the end of the receiver's rest."""
        now = self._clock.now()
        seconds = _IDLE_SECONDS
        if self._next_at is not None:
            due = max(self._next_at, self._rests_until or self._next_at)
            seconds = min(seconds, (due - now).total_seconds())
        if seconds < _SHORT_SECONDS:  # due and not sent: of a report under way, or no room
            seconds = _BUSY_SECONDS if self._flying else _SHORT_SECONDS
        waits = [asyncio.create_task(self.wake.wait()), asyncio.create_task(stopping.wait())]
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


def _hub_says(code: str) -> Answer:
    """Return the answer of an event that cannot be sent at all."""
    return Answer(outcome=Outcome.PERMANENT, protocol=Protocol.HUB, code=code[:40])


def _time_first(event: StreamEvent, now: datetime) -> None:
    """Take how long the first version of a report's part was under way.

    What is declared anonymously says only the day on which it was decided, so nothing of it.
    """
    at = event.emitted_at
    if event.event_version == 1 and (at.hour, at.minute, at.second, at.microsecond) != (0, 0, 0, 0):
        METRICS.readable_to_pushed_seconds.observe(max(0.0, (now - at).total_seconds()))
