"""The inbound door: records of a Kafka topic in, each through the door's one `receive`.

A partition moves on only after everything before that offset is durable or parked with its place:
after a crash records are taken again, and the inbox makes a message that came twice one. Nothing is
skipped: what the world holds up is tried again, and what nobody can say ends the process.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import msgspec

from ops.runtime.failpoints import hit
from ops.runtime.kafka_reading import RawRecord
from ops.runtime.logs import get_logger
from ops.runtime.metrics import METRICS
from schemas.errors import OffsetGone, TransientError, UnknownResult

from .accept import Answer, Receipt
from .fairness import Line
from .inbound_ports import InboundLimits, MessageDoor, Progress, Reply, Send, Source, Turn
from .inbound_proof import LABORATORY, SIGNATURE, Prover, header_of
from .inbound_store import Held, Park
from .lab import Lab
from .peers import peer_of

_log = get_logger(__name__)

_READ_SECONDS: Final = 0.5
_LOOK_SECONDS: Final = 2.0
_FIRST_WAIT_SECONDS: Final = 0.1
_LONGEST_WAIT_SECONDS: Final = 5.0

TOMBSTONE: Final = "tombstone"
OVERSIZE: Final = "oversize"
GONE: Final = "gone"


@dataclass(slots=True)
class _Step:
    """One record under way."""

    record: RawRecord
    lab: Lab | None = None
    receipt: Receipt | None = None
    answer: Answer | None = None
    park: Park | None = None


class InboundTopic:
    """Takes the records of one topic, those of a partition in their order, for ever.

    Args:
        topic: Its name, which every signature covers.
        open_source: Gives a source that is not started; called again after the brokers were away.
        progress: Where it is kept how far it is taken.
        turn: Whether this process reads.
        door: The one way in.
        line: The topic's, patient: its window is its own, and a wait is no answer.
        prover: Says whose a record is.
        limits: The bounds.
        send: Where answers go; None: they are only counted.
    """

    def __init__(
        self,
        topic: str,
        open_source: Callable[[], Source],
        *,
        progress: Progress,
        turn: Turn,
        door: MessageDoor,
        line: Line,
        prover: Prover,
        limits: InboundLimits,
        send: Send | None = None,
    ) -> None:
        self._topic = topic
        self._open_source = open_source
        self._progress = progress
        self._turn = turn
        self._door = door
        self._line = line
        self._prover = prover
        self._limits = limits
        self._send = send
        self._positions: dict[int, int] = {}
        self._looked_at = 0.0

    async def run(self, stopping: asyncio.Event) -> None:
        """Take records until told to stop; what is transient is tried again, slower each time.

        Raises:
            FatalError: A promise cannot be kept: an append's result is unknown, or this is not the
                topic that it was. The next start goes on where the last window ended.
        """
        waits = _FIRST_WAIT_SECONDS
        while not stopping.is_set():
            source = self._open_source()
            try:
                await source.start()
                self._positions.clear()
                self._looked_at = 0.0
                while not stopping.is_set():
                    await self._round(source, stopping)
                    waits = _FIRST_WAIT_SECONDS
            except TransientError as error:
                METRICS.errors.labels("inbound", error.reason).inc()
                _log.warning("inbound_waits", reason=error.reason)
            finally:
                await source.close()
            await _rest(stopping, waits)
            waits = min(waits * 2, _LONGEST_WAIT_SECONDS)

    async def _round(self, source: Source, stopping: asyncio.Event) -> None:
        if not await self._turn.is_mine():
            # Whoever reads meanwhile moves on: what we knew is worth nothing.
            self._positions.clear()
            self._looked_at = 0.0
            METRICS.inbound_lag.labels(self._topic).set(0)
            await _rest(stopping, _READ_SECONDS)
            return
        if time.monotonic() - self._looked_at >= _LOOK_SECONDS:
            await self._look(source)
        try:
            records = await source.read(
                dict(self._positions), self._limits.window_records, _READ_SECONDS
            )
        except OffsetGone as error:
            await self._pass_gap(error)
            return
        if records:
            hit("inbound.read")
        while records and not stopping.is_set():
            taken = await self._take_window(records, stopping)
            records = records[taken:]

    async def _look(self, source: Source) -> None:
        """See new partitions, and tell the lag."""
        begins = await source.begin_offsets()
        if begins.keys() - self._positions.keys():
            found = await self._progress.positions(self._topic, begins)
            self._positions = {**found, **self._positions}
        ends = await source.end_offsets()
        behind = sum(max(0, end - self._positions.get(p, end)) for p, end in ends.items())
        METRICS.inbound_lag.labels(self._topic).set(behind)
        self._looked_at = time.monotonic()

    async def _pass_gap(self, error: OffsetGone) -> None:
        """Park, as one entry, what the broker dropped before it was read; never in silence."""
        lost = error.begin - error.offset
        gone = Park(partition=error.partition, offset=error.offset, reason=GONE, records=lost)
        await self._advance({error.partition: error.begin}, [gone])
        _tell_of([gone])

    # ------------------------------------------------------------------ one window

    async def _take_window(self, records: Sequence[RawRecord], stopping: asyncio.Event) -> int:
        """Take the first records, wait for every answer, then move on; return how many."""
        steps: list[_Step] = []
        size = 0
        # No await until all are handed over: an append that fails fails what waits behind it, and
        # so nothing of a laboratory overtakes what has to be sent again.
        for record in records[: self._limits.window_records]:
            size += len(record.value)
            if steps and size > self._limits.window_bytes:
                METRICS.limit_hits.labels("inbound_window").inc()
                break
            step = self._take(record)
            steps.append(step)
            if step.receipt is not None and step.receipt.done():
                step.answer = step.receipt.answer()
                if step.answer.try_again:
                    break
        for step in steps:
            await _settle(step)
        for step in steps:
            await self._insist(step, stopping)
        for step in steps:
            if step.answer is not None and step.answer.code == "AR":
                step.park = self._parked(step, step.answer.reason)
        hit("inbound.before_advance")
        await self._reply([_reply(step) for step in steps if step.lab is not None], stopping)
        after = {step.record.partition: step.record.offset + 1 for step in steps}
        await self._advance(after, [step.park for step in steps if step.park is not None])
        hit("inbound.after_advance")
        _tell_of([step.park for step in steps if step.park is not None])
        for step in steps:
            what = "parked" if step.park is not None or step.answer is None else step.answer.code
            METRICS.inbound_records.labels(what).inc()
        return len(steps)

    def _take(self, record: RawRecord) -> _Step:
        step = _Step(record)
        if record.is_tombstone:
            step.park = self._parked(step, TOMBSTONE)
        elif len(record.value) > self._limits.max_message_bytes:
            # Not kept: it stays in the topic, and that is where to look at it.
            METRICS.limit_hits.labels("inbound_message").inc()
            step.park = msgspec.structs.replace(self._parked(step, OVERSIZE), held=None)
        else:
            proved = self._prover.prove(self._topic, record.key, record.value, record.headers)
            if isinstance(proved, Lab):
                step.lab = proved
                step.receipt = self._door.receive(
                    record.value, peer_of(proved, "topic"), self._line
                )
            else:
                step.park = self._parked(step, proved)
        return step

    def _parked(self, step: _Step, reason: str) -> Park:
        record = step.record
        proof = [(name, header_of(record.headers, name)) for name in (LABORATORY, SIGNATURE)]
        return Park(
            partition=record.partition,
            offset=record.offset,
            reason=reason,
            laboratory=step.lab.registry_id if step.lab is not None else "",
            size_bytes=len(record.value),
            held=None
            if record.is_tombstone
            else Held(key=record.key, value=record.value, headers=tuple(proof)),
        )

    async def _insist(self, step: _Step, stopping: asyncio.Event) -> None:
        """Send again, in their order, what was turned away for want of room; however long."""
        waits = _FIRST_WAIT_SECONDS
        while step.lab is not None and step.answer is not None and step.answer.try_again:
            METRICS.limit_hits.labels("inbound_waits").inc()
            await self._rest_in_turn(stopping, waits)
            waits = min(waits * 2, _LONGEST_WAIT_SECONDS)
            step.receipt = self._door.receive(
                step.record.value, peer_of(step.lab, "topic"), self._line
            )
            step.answer = None
            await _settle(step)

    async def _reply(self, replies: Sequence[Reply], stopping: asyncio.Event) -> None:
        """Make the answers durable, trying here: a window that is taken again grows the log."""
        waits = _FIRST_WAIT_SECONDS
        while self._send is not None and replies:
            try:
                await self._send(self._topic, replies)
            except TransientError as error:
                METRICS.errors.labels("inbound_reply", error.reason).inc()
                await self._rest_in_turn(stopping, waits)
                waits = min(waits * 2, _LONGEST_WAIT_SECONDS)
            else:
                return

    async def _rest_in_turn(self, stopping: asyncio.Event, seconds: float) -> None:
        await _rest(stopping, seconds)
        if stopping.is_set() or not await self._turn.is_mine():
            raise TransientError("inbound_given_up", "it is read again from the last window on")

    async def _advance(self, after: dict[int, int], parks: Sequence[Park]) -> None:
        before = {partition: self._positions[partition] for partition in after}
        await self._progress.advance(self._topic, before, after, parks)
        self._positions.update(after)


def _tell_of(parks: Sequence[Park]) -> None:
    """Count what was parked, and log one line a reason: a flood of records makes none of lines."""
    first: dict[str, Park] = {}
    for park in parks:
        first.setdefault(park.reason, park)
    for reason, park in first.items():
        count = sum(each.records for each in parks if each.reason == reason)
        METRICS.inbound_parks.labels(reason).inc(count)
        _log.warning(
            "inbound_parked",
            reason=reason,
            count=count,
            partition=park.partition,
            offset=park.offset,
        )


async def _settle(step: _Step) -> None:
    """Wait for the answer of what was handed over.

    Raises:
        UnknownResult: Nobody knows whether it is durable.
    """
    if step.receipt is not None and step.answer is None:
        step.answer = await step.receipt.wait()
    if step.answer is not None and step.answer.close:
        raise UnknownResult("append_unknown", "the next start takes the record again")


def _reply(step: _Step) -> Reply:
    assert step.lab is not None
    assert step.answer is not None
    return Reply(record=step.record, laboratory=step.lab.registry_id, answer=step.answer)


async def _rest(stopping: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds * random.uniform(0.5, 1.0)):  # noqa: S311 - jitter
            await stopping.wait()
