"""One file, from its first byte to its last answer: windowed, paced, going on where it was.

Every message goes through the door's one `receive`. Answers are kept in the order of the messages,
together with how far the file is read; what was answered and kept is never answered again. What was
appended after the last checkpoint is sent again after a crash: for the inbox a duplicate.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import BinaryIO, Final

import msgspec

from ingest.accept import Answer
from ingest.batch import BatchReader, Closed, Message, Opened, ReaderState, Skipped, Step
from ingest.batch_answer import code_of, header_line, trailer_line
from ops.runtime.clock import Clock
from ops.runtime.failpoints import hit
from ops.runtime.metrics import METRICS
from schemas.errors import TransientError

from .batch import Batch, Reading
from .pace import Pace, Patience
from .store import BatchStore
from .underway import MessageDoor, Underway, answer_of, is_answered

_CHUNK_BYTES: Final = 64 * 1024
_SLICE_MESSAGES: Final = 4
"""Messages after which the process's loop gets its turn."""
_CHECKPOINT_MESSAGES: Final = 1_000
_CHECKPOINT_BYTES: Final = 512 * 1024
_CHECKPOINT_SECONDS: Final = 2.0


class BatchLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of reading a file."""

    max_message_bytes: int
    window_messages: int
    window_bytes: int


class BatchRunner:
    """Reads files; shared by all that one process reads.

    Args:
        store: Keeps what is answered.
        pace: Shared with every other file.
        limits: The bounds.
        clock: Times of the answer's envelopes.
    """

    def __init__(self, store: BatchStore, pace: Pace, limits: BatchLimits, clock: Clock) -> None:
        self.store = store
        self.pace = pace
        self.limits = limits
        self.clock = clock

    async def run(self, batch: Batch, file: BinaryIO, door: MessageDoor) -> None:
        """Read a file from where `batch` stands to its end; `batch` is done then.

        Raises:
            TransientError: The door or the database stays closed, or an append's result is unknown;
                what is kept is kept, and another call goes on from there.
        """
        if batch.state == "done":
            return
        METRICS.files_reading.inc()
        try:
            await _Run(self, batch, file, door).work()
        finally:
            METRICS.files_reading.dec()
        METRICS.files.labels("done").inc()
        for found in batch.reading.reader.findings:
            METRICS.file_findings.labels(found.code).inc()


class _Run:
    """The state of one reading; nothing in it outlives an error."""

    def __init__(
        self, runner: BatchRunner, batch: Batch, file: BinaryIO, door: MessageDoor
    ) -> None:
        self._store, self._pace = runner.store, runner.pace
        self._limits, self._clock = runner.limits, runner.clock
        self._batch = batch
        self._file = file
        self._door = door
        self._reader = BatchReader(self._limits.max_message_bytes, _copied(batch.reading.reader))
        self._answers_of_batch = batch.reading.answers
        self._counts = msgspec.structs.replace(batch.counts)
        self._underway: deque[Underway] = deque()
        self._underway_bytes = 0
        self._skip = batch.reading.steps
        self._boundary = self._reader.state
        self._index = 0
        self._written = bytearray()
        self._messages = 0
        self._kept_at = time.monotonic()
        self._slice_at = time.monotonic()

    async def work(self) -> None:
        """Read to the end."""
        await asyncio.to_thread(self._file.seek, self._batch.reading.reader.position)
        while chunk := await asyncio.to_thread(self._file.read, _CHUNK_BYTES):
            self._at_boundary()
            for step in self._reader.feed(chunk):
                await self._take(step)
            if self._is_due():
                await self._keep(is_done=False)
        self._at_boundary()
        for step in self._reader.close():
            await self._take(step)
        await self._keep(is_done=True)
        hit("batch.after_done")

    # ------------------------------------------------------------------ messages in

    def _at_boundary(self) -> None:
        self._boundary, self._index = self._reader.state, 0

    def _put(self, underway: Underway) -> None:
        underway.boundary, underway.index = self._boundary, self._index
        self._underway.append(underway)

    async def _take(self, step: Step) -> None:
        if self._skip:
            self._skip -= 1
        else:
            await self._take_new(step)
        self._index += 1

    async def _take_new(self, step: Step) -> None:
        match step:
            case Message():
                await self._room_for(len(step.raw))
                await self._send(Underway(raw=step.raw))
            case Skipped():
                receipt = self._door.turn_away(step.fault, step.head)
                self._put(Underway(answer=Answer(), receipt=receipt))
                if receipt is not None:
                    self._underway[-1].answer = await receipt.wait()
            case Opened():
                self._put(Underway(text=header_line(step, self._clock.now())))
            case Closed():
                self._put(Underway(closed=step))
        if isinstance(step, Message | Skipped):
            self._messages += 1
            if self._messages % _SLICE_MESSAGES == 0:
                now = time.monotonic()
                await self._pace.breathe(now - self._slice_at)
                self._slice_at = time.monotonic()

    async def _send(self, underway: Underway) -> None:
        self._pace.note_own(underway.raw)
        underway.receipt = self._door.receive(underway.raw)
        self._put(underway)
        self._underway_bytes += len(underway.raw)
        if underway.receipt.done():
            underway.answer = underway.receipt.answer()
            if underway.answer.try_again:
                # Nothing may overtake it: a correction behind it would come first.
                await self._settle(0)

    async def _room_for(self, size: int) -> None:
        """Wait until the window has room; settle what is answered already."""
        while self._underway and is_answered(self._underway[0]):
            await self._settle_first()
        while self._underway and (
            len(self._underway) >= self._limits.window_messages
            or self._underway_bytes + size > self._limits.window_bytes
        ):
            await self._settle_first()

    # ------------------------------------------------------------------ answers out

    async def _settle(self, left: int) -> None:
        while len(self._underway) > left:
            await self._settle_first()

    async def _settle_first(self) -> None:
        first = self._underway[0]
        answer = await answer_of(first)
        if answer is not None and answer.try_again:
            try:
                await self._again()
            except TransientError as error:
                if error.reason == "batch_waits":
                    await self._keep_answered()
                raise
            answer = await answer_of(first)
        self._write_first(answer)

    def _write_first(self, answer: Answer | None) -> None:
        first = self._underway.popleft()
        self._underway_bytes -= len(first.raw)
        self._write(first, answer)

    async def _again(self) -> None:
        """Send again, in their order, what a closed door turned away; wait as long as it takes."""
        METRICS.files.labels("waits").inc()
        for each in self._underway:
            await answer_of(each)
        patience = Patience(self._pace.patience_seconds)
        for each in self._underway:
            while each.answer is not None and each.answer.try_again:
                await patience.wait()
                await self._door.pause()
                each.answer, each.receipt = None, self._door.receive(each.raw)
                await answer_of(each)

    def _write(self, underway: Underway, answer: Answer | None) -> None:
        if answer is None:
            if underway.closed is not None:
                self._write_trailer(underway.closed)
            else:
                self._written += underway.text
                self._answers_of_batch = 0 if underway.text[:1] == b"B" else self._answers_of_batch
            return
        code = code_of(answer.parts[-1]) if answer.parts else ""
        self._written += b"".join(answer.parts)
        self._answers_of_batch += len(answer.parts)
        counts = self._counts
        match code:
            case "AA":
                counts.AA += 1
            case "AE":
                counts.AE += 1
            case "AR":
                counts.AR += 1
            case _:
                counts.none += 1
        METRICS.file_messages.labels(code or "none").inc()

    def _write_trailer(self, closed: Closed) -> None:
        held = self._answers_of_batch if closed.kind == "BTS" else closed.held
        self._written += trailer_line(closed, held)

    # ------------------------------------------------------------------ checkpoints

    def _is_due(self) -> bool:
        return (
            self._messages >= _CHECKPOINT_MESSAGES
            or len(self._written) >= _CHECKPOINT_BYTES
            or time.monotonic() - self._kept_at >= _CHECKPOINT_SECONDS
        )

    async def _keep(self, *, is_done: bool) -> None:
        """Wait for every answer under way, then keep them with the place that is reached."""
        await self._settle(0)
        hit("batch.after_window")
        batch = self._batch
        batch.reading = Reading(
            reader=self._reader.state, answers=self._answers_of_batch, steps=self._skip
        )
        batch.counts = msgspec.structs.replace(self._counts)
        await self._store.advance(batch, bytes(self._written), is_done=is_done)
        hit("batch.after_checkpoint")
        self._written.clear()
        self._messages = 0
        self._kept_at = time.monotonic()

    async def _keep_answered(self) -> None:
        """Keep what is answered before the turn ends, up to the message that has to wait.

        What a laboratory may send in a day would else be used up by the same messages each day.
        """
        while not ((answer := self._underway[0].answer) is not None and answer.try_again):
            self._write_first(answer)
        first, batch = self._underway[0], self._batch
        if not self._written or first.boundary is None:
            return
        batch.reading = Reading(
            reader=first.boundary, answers=self._answers_of_batch, steps=first.index
        )
        batch.counts = msgspec.structs.replace(self._counts)
        await self._store.advance(batch, bytes(self._written), is_done=False)


def _copied(state: ReaderState) -> ReaderState:
    return msgspec.structs.replace(state, findings=list(state.findings))
