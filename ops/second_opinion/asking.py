"""Asking hl7apy for its opinion, out of our process: slow, complete, and never in the way.

One worker at a time; what it may take (time, memory) and how many may wait are bounded. A worker
that overruns is killed and another takes its place. An opinion is codes and places; no text of
hl7apy, which may hold values, ever comes over the pipe.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from enum import Enum
from types import TracebackType
from typing import Final, Self

import msgspec

from ingest.catalogue import finding
from schemas.finding import Finding

from .worker import LENGTH_BYTES, MAX_FRAME_BYTES, READY, Answer, framed

_ANSWER: Final = msgspec.msgpack.Decoder(Answer)
_START_SECONDS: Final = 30.0


class NoOpinion(Enum):
    """Why there is no opinion; the message is judged by our own checker all the same."""

    TOO_SLOW = "no opinion in time"
    BUSY = "too many are waiting for an opinion"
    TOO_LARGE = "the message is too large for a second opinion"
    UNREADABLE = "hl7apy cannot read this message"
    FAILED = "the worker ended before it had an opinion"


class SecondOpinion:
    """hl7apy in a process of its own, for as long as the context is open."""

    def __init__(
        self,
        *,
        seconds: float = 5.0,
        memory_bytes: int = 512 * 2**20,
        waiting: int = 8,
        max_message_bytes: int = 2**20,
    ) -> None:
        """Bound what an opinion may cost.

        Args:
            seconds: That one opinion may take.
            memory_bytes: Address space of the worker.
            waiting: How many may be asked for at a time, the one that is asked included.
            max_message_bytes: A larger message gets no opinion.
        """
        assert max_message_bytes <= MAX_FRAME_BYTES
        self._seconds = seconds
        self._memory_bytes = memory_bytes
        self._waiting = waiting
        self._max_message_bytes = max_message_bytes
        self._turn = asyncio.Lock()
        self._asked = 0
        self._process: Process | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self._end()

    @property
    def pid(self) -> int | None:
        """The worker's process, None while there is none."""
        return None if self._process is None else self._process.pid

    async def opinion(self, raw: bytes) -> tuple[Finding, ...] | NoOpinion:
        """Return what hl7apy finds off in a message, or why there is no opinion.

        Never raises for what the message or the worker does; a worker that overran is gone when
        this returns.
        """
        if len(raw) > self._max_message_bytes:
            return NoOpinion.TOO_LARGE
        if self._asked >= self._waiting:
            return NoOpinion.BUSY
        self._asked += 1
        try:
            async with self._turn:
                return await self._ask(raw)
        finally:
            self._asked -= 1

    async def _ask(self, raw: bytes) -> tuple[Finding, ...] | NoOpinion:
        try:
            process = await self._running()
            answer = await asyncio.wait_for(_exchange(process, raw), self._seconds)
        except TimeoutError:
            await self._end()
            return NoOpinion.TOO_SLOW
        except (EOFError, OSError, msgspec.MsgspecError):
            await self._end()
            return NoOpinion.FAILED
        except asyncio.CancelledError:
            # An answer that nobody waits for must not be taken for that of the next message.
            await self._end()
            raise
        if answer.found is None:
            return NoOpinion.UNREADABLE
        return tuple(finding(code, place) for code, place in answer.found)

    async def _running(self) -> Process:
        """Return the worker, started and ready."""
        process = self._process
        if process is None or process.returncode is not None:
            process = self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "ops.second_opinion.worker",
                str(self._memory_bytes),
                str(self._seconds),
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                limit=MAX_FRAME_BYTES,
            )
            ready = await asyncio.wait_for(_frame(process), _START_SECONDS)
            assert ready == READY, "the first frame says that the worker is ready"
        return process

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        await process.wait()
        if process.stdin is not None:
            process.stdin.close()


async def _exchange(process: Process, raw: bytes) -> Answer:
    assert process.stdin is not None
    process.stdin.write(framed(raw))
    await process.stdin.drain()
    return _ANSWER.decode(await _frame(process))


async def _frame(process: Process) -> bytes:
    assert process.stdout is not None
    head = await process.stdout.readexactly(LENGTH_BYTES)
    length = int.from_bytes(head, "big")
    if length > MAX_FRAME_BYTES:
        raise EOFError
    return await process.stdout.readexactly(length)
