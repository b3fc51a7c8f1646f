"""Laboratories that send for hours: an invented mix at a steady rate, made while it is sent.

Among the messages are corrections, cancellations, second lines, resends, the same content under
another control id, and such as nothing can be read of: each must be answered as it deserves. A
laboratory has one connection and sends in its own order; after a lost connection or a refusal "not
now" (AR where AA is due) it sends again. What was answered stands in a journal on disk.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import IO, Final, cast

import msgspec

from benchmarks.results import BenchmarkFailed
from ops.client import read_acknowledgement
from ops.simulate.orders import LifeCycle
from ops.simulate.simulation import Habits, SimulatedMessage, Simulation

_VT: Final = b"\x0b"
_END: Final = b"\x1c\r"
_PAUSE_SECONDS: Final = 0.001
_AGAIN_SECONDS: Final = 0.2
_PIPELINE: Final = 8
_SIMULATED_DAYS: Final = 10
_LAST_SECONDS: Final = 60.0
_DUE_KEPT: Final = 2_000_000


class Due(msgspec.Struct):
    """When a message was due, and when it was acknowledged."""

    due_at: float
    acknowledged_at: float = 0.0


class _Underway(msgspec.Struct, frozen=True):
    message: SimulatedMessage
    due: Due


class Counted(msgspec.Struct, kw_only=True):
    """What came of the sending so far."""

    sent: int = 0
    acknowledged: int = 0
    turned_away: int = 0
    """AE where AE was due: they stand in the log as refused."""
    unusable: int = 0
    """AR where AR was due: nothing of them is kept."""
    not_now: int = 0
    reconnected: int = 0
    waiting: int = 0
    """Due and not sent yet."""
    wrong: Counter[str] = msgspec.field(default_factory=Counter)
    """Answers that were not what a message deserves, by kind and answer."""
    kinds: Counter[str] = msgspec.field(default_factory=Counter)


def mixed(seed: int, laboratories: int, rate: float, seconds: float) -> Iterator[SimulatedMessage]:
    """Return messages without end; those of this run span about ten simulated days before now."""
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(days=_SIMULATED_DAYS + 4)
    a_day = max(1_000, int(rate * seconds / _SIMULATED_DAYS))
    return Simulation(
        seed=seed,
        labs=laboratories,
        start_at=start,
        persons=1_000_000,
        habits=Habits(
            messages_per_day=a_day,
            broken=0.01,
            cycle=LifeCycle(corrected=0.06, cancelled=0.015),
        ),
    ).messages()


class Laboratories:
    """All laboratories: who sends next, what was answered, what is not readable yet.

    Args:
        port: The door's.
        messages: In the order in which they are due.
        count: Number of laboratories.
        journal: Gets a line for each answer: control id and code.
    """

    def __init__(
        self, port: int, messages: Iterator[SimulatedMessage], count: int, journal: IO[str]
    ) -> None:
        self.port = port
        self.counted = Counted()
        self.unread: dict[str, Due] = {}
        """Filler order number and status -> when that was due; taken out when it is read."""
        self.answered: list[float] = []
        """Seconds from due to ACK since somebody last took them."""
        self._messages = messages
        self._journal = journal
        self._lines = [_Line(self) for _ in range(count)]
        self._seen: set[int] = set()

    async def run(self, rate: float, seconds: float) -> None:
        """Send at a rate for so long, then wait until all is answered."""
        for line in self._lines:
            await line.connect()
        began = time.monotonic()
        sent = 0
        while (now := time.monotonic()) < began + seconds:
            if sent < int((now - began) * rate) + 1:
                message = next(self._messages)
                self._lines[message.lab_index].put(message, Due(began + sent / rate))
                sent += 1
                if sent % 8:
                    continue
            self.counted.waiting = sum(line.waiting for line in self._lines)
            await asyncio.sleep(_PAUSE_SECONDS)
        until = time.monotonic() + _LAST_SECONDS
        while any(line.waiting or line.underway for line in self._lines):
            if time.monotonic() > until:
                raise BenchmarkFailed("messages without an answer a minute after the last")
            await asyncio.sleep(0.05)
        for line in self._lines:
            line.close()

    def note(self, each: _Underway, code: str) -> bool:
        """Take an answer; say whether the message is to be sent again."""
        message, counted = each.message, self.counted
        kind = code[1:]
        if kind == "R" and message.expected != "AR":
            counted.not_now += 1
            return True
        now = time.monotonic()
        counted.sent += 1
        counted.kinds[message.kind] += 1
        self.answered.append(now - each.due.due_at)
        each.due.acknowledged_at = now
        if kind != message.expected[1:]:
            counted.wrong[f"{message.kind} {code}"] += 1
        if message.control_id:
            self._journal.write(f"{message.control_id} {code}\n")
        if kind == "A":
            counted.acknowledged += 1
            self._expect(message, each.due)
        elif kind == "E":
            counted.turned_away += 1
        else:
            counted.unusable += 1
        return False

    def _expect(self, message: SimulatedMessage, due: Due) -> None:
        """Keep what a reader should see of it, once: a resend tells nothing new."""
        for report in message.reports:
            key = f"{report.order} {report.status}"
            if hash(key) in self._seen:
                continue
            self._seen.add(hash(key))
            if len(self.unread) < _DUE_KEPT:
                self.unread[key] = due


class _Line(asyncio.Protocol):
    """A laboratory's connection."""

    def __init__(self, whole: Laboratories) -> None:
        self._whole = whole
        self._rest = b""
        self._waiting: deque[_Underway] = deque()
        self._underway: deque[_Underway] = deque()
        self._transport: asyncio.WriteTransport | None = None
        self._is_over = False
        self._again: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def underway(self) -> int:
        return len(self._underway)

    async def connect(self) -> None:
        while not self._is_over:
            try:
                await asyncio.get_running_loop().create_connection(
                    lambda: self, "127.0.0.1", self._whole.port
                )
            except OSError:
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                return

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        self._rest = b""
        self._push()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's
        self._transport = None
        if self._is_over:
            return
        self._whole.counted.reconnected += 1
        while self._underway:
            self._waiting.appendleft(self._underway.pop())
        self._again = asyncio.ensure_future(self.connect())

    def put(self, message: SimulatedMessage, due: Due) -> None:
        self._waiting.append(_Underway(message, due))
        self._push()

    def close(self) -> None:
        self._is_over = True
        if self._transport is not None:
            self._transport.close()

    def _push(self) -> None:
        while self._transport and self._waiting and len(self._underway) < _PIPELINE:
            each = self._waiting.popleft()
            self._underway.append(each)
            self._transport.write(_VT + each.message.raw + _END)

    def data_received(self, data: bytes) -> None:
        *frames, self._rest = (self._rest + data).split(_END)
        for frame in frames:
            if not self._underway:
                self._whole.counted.wrong["an answer that nobody waits for"] += 1
                continue
            each = self._underway.popleft()
            code = read_acknowledgement(frame[frame.find(_VT) + 1 :]).code
            if self._whole.note(each, code):
                asyncio.get_running_loop().call_later(_AGAIN_SECONDS, self._put_back, each)
        self._push()

    def _put_back(self, each: _Underway) -> None:
        self._waiting.appendleft(each)
        self._push()
