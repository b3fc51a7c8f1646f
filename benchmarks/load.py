"""Laboratories that send: a load generator of its own process, cheap enough to be no bottleneck.

`python -m benchmarks.load` takes an `Order` as JSON on standard input and prints `Phase` lines and
one `Report`. All messages are made before the first is sent, and none is sent twice (but to the
yardstick, which does not look). Each answer must be AA or CA (MSA-1) for the message that is next
in line (MSA-2); anything else ends the run.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from typing import Final, cast

import msgspec
import uvloop

from benchmarks.echo import CONTROL_ID
from benchmarks.results import quantile
from ops.simulate.simulation import Simulation

_VT: Final = b"\x0b"
_END: Final = b"\x1c\r"
_DURABLE: Final = (b"AA", b"CA")
_PAUSE_SECONDS: Final = 0.001
_ANSWER_SECONDS: Final = 30.0


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to send where."""

    port: int
    connections: int
    seconds: float
    """Of measuring; the warm-up comes before and is not counted."""
    messages: int
    """How many to make ready; a run that needs more ends early, with the time it took."""
    seed: int
    warmup_seconds: float = 1.0
    pipeline: int = 1
    """How many messages of a connection may be without an answer."""
    rate: float = 0.0
    """Messages a second, due evenly; 0 = each as soon as its connection may."""
    facility: str = ""
    """All messages are this one laboratory's; empty = those of a hundred."""
    is_echo: bool = False
    """The other side is the yardstick, which answers all with one control id."""
    journal: str = ""
    """Path of a file for a `Sent` of each message of the measured time; empty = none."""


class Sent(msgspec.Struct, frozen=True, array_like=True):
    """One message of the measured time. Times are of the machine's monotonic clock."""

    keys: tuple[str, ...]
    """Filler order number and status of its reports; empty where they were sent before."""
    due_at: float
    acknowledged_at: float


class Phase(msgspec.Struct, frozen=True, tag=True):
    """`ready` (all made and connected), `measuring`, `measured`."""

    name: str


class Report(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What came of it."""

    problem: str = ""
    """Why the run is worth nothing; empty when all was answered as it must be."""
    acknowledged: int = 0
    """In all, with warm-up and what was under way at the end."""
    counted: int = 0
    """Acknowledged within the measured time."""
    seconds: float = 0.0
    p50_seconds: float = 0.0
    p99_seconds: float = 0.0
    late_p99_seconds: float = 0.0
    """With a rate: from when a message was due to when it was written."""


class _Message(msgspec.Struct, frozen=True):
    frame: bytes
    control_id: bytes
    keys: tuple[str, ...]


class _Underway(msgspec.Struct):
    message: _Message
    due_at: float
    counts: bool


class _Wrong(Exception):
    """An answer that is none, or not the one that must come."""


def make_messages(count: int, seed: int, labs: int = 100, facility: str = "") -> list[_Message]:
    """Return so many simulated messages that deserve an AA, framed; a resend has no keys.

    With a facility all are that one's (MSH-4), whoever the simulation has send them.
    """
    simulation = Simulation(seed=seed, labs=labs, start_at=datetime.now(UTC).replace(microsecond=0))
    made = []
    seen: set[str] = set()
    for message in simulation.messages():
        if message.expected != "AA":
            continue
        keys = [f"{report.order} {report.status}" for report in message.reports]
        fresh = tuple(key for key in keys if key not in seen)
        seen.update(keys)
        raw = message.raw
        if facility:
            fields = raw.split(b"|", 4)
            raw = b"|".join((*fields[:3], facility.encode(), fields[4]))
        frame = _VT + raw + _END
        made.append(_Message(frame, message.control_id.encode(), fresh))
        if len(made) == count:
            break
    return made


class _Laboratory(asyncio.Protocol):
    """One connection: writes what it is given, checks what comes back."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._rest = b""
        self._underway: deque[_Underway] = deque()
        self.is_closed = False

    @property
    def underway(self) -> int:
        return len(self._underway)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.WriteTransport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's
        self.is_closed = True
        if self._underway:
            self._run.fail("a connection ended with a message unanswered")

    def send(self, message: _Message, due_at: float, *, counts: bool) -> None:
        self._underway.append(_Underway(message, due_at, counts))
        self.transport.write(message.frame)

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        begin = 0
        while (end := data.find(_END, begin)) >= 0:
            try:
                self._take(data[begin:end])
            except _Wrong as wrong:
                self._run.fail(str(wrong))
                return
            begin = end + 2
        self._rest = data[begin:]

    def _take(self, frame: bytes) -> None:
        if not self._underway:
            raise _Wrong("an answer that nobody waits for")
        sent = self._underway.popleft()
        expected = CONTROL_ID if self._run.order.is_echo else sent.message.control_id
        check_answer(frame, expected)
        self._run.note(self, sent)


def check_answer(frame: bytes, control_id: bytes) -> None:
    """Take AA or CA for this control id; raise at anything else, without any value."""
    start = frame.find(b"\rMSA") + 5
    if start < 5:
        raise _Wrong("an answer without MSA")
    code = frame[start : start + 2]
    if code not in _DURABLE:
        shown = code.decode("ascii", "replace") if code.isalpha() else "??"
        raise _Wrong(f"an answer {shown} where AA was due")
    begin = start + 3
    rest = frame[begin : begin + len(control_id) + 1]
    if not rest.startswith(control_id) or rest[len(control_id) :] not in {b"\r", frame[4:5]}:
        raise _Wrong("an answer to another message than the next in line")


class _Run:
    """One run: who sends next, what was counted."""

    def __init__(self, order: Order, messages: list[_Message]) -> None:
        self.order = order
        self._messages: Iterator[_Message] = cycle(messages) if order.is_echo else iter(messages)
        self._loop = asyncio.get_running_loop()
        self._problem = ""
        self._acknowledged = 0
        self._counted = 0
        self._latencies: list[float] = []
        self._late: list[float] = []
        self._journal: list[Sent] = []
        self._began_at = self._ends_at = float("inf")
        self._ended_at = 0.0
        self._is_over = False
        self._over = asyncio.Event()
        self._laboratories: list[_Laboratory] = []

    def fail(self, problem: str) -> None:
        """Keep the first problem and end."""
        self._problem = self._problem or problem
        self._end()

    def _end(self) -> None:
        self._ended_at = self._ended_at or time.monotonic()
        self._is_over = True
        self._over.set()

    def note(self, laboratory: _Laboratory, sent: _Underway) -> None:
        """Count an acknowledgement; in a run without a rate, send the next."""
        now = time.monotonic()
        self._acknowledged += 1
        if self._began_at <= now <= self._ends_at:
            self._counted += 1
        if sent.counts:
            self._latencies.append(now - sent.due_at)
            if self.order.journal:
                self._journal.append(Sent(sent.message.keys, sent.due_at, now))
        if self.order.rate or self._is_over:
            return
        if now >= self._ends_at:
            self._end()
            return
        self._send_next(laboratory, now)

    def _send_next(self, laboratory: _Laboratory, due_at: float) -> bool:
        message = next(self._messages, None)
        if message is None:
            self._end()
            return False
        laboratory.send(message, due_at, counts=due_at >= self._began_at)
        return True

    async def run(self) -> Report:
        """Connect, warm up, measure, wait for the last answers."""
        order = self.order
        for _ in range(order.connections):
            _, laboratory = await self._loop.create_connection(
                lambda: _Laboratory(self), "127.0.0.1", order.port
            )
            self._laboratories.append(laboratory)
        _say(Phase("ready"))
        started = time.monotonic()
        self._began_at = started + order.warmup_seconds
        self._ends_at = self._began_at + order.seconds
        self._loop.call_at(self._loop.time() + order.warmup_seconds, _say, Phase("measuring"))
        if order.rate:
            await self._send_by_the_clock(started)
        else:
            for laboratory in self._laboratories:
                for _ in range(order.pipeline):
                    self._send_next(laboratory, time.monotonic())
            self._loop.call_at(self._loop.time() + self._ends_at - time.monotonic(), self._end)
            await self._over.wait()
        self._is_over = True
        _say(Phase("measured"))
        await self._last_answers()
        return self._report()

    async def _send_by_the_clock(self, started: float) -> None:
        """Send each message when it is due, or as soon as a connection is free after that."""
        order, sent, turn = self.order, 0, 0
        laboratories = self._laboratories
        while (now := time.monotonic()) < self._ends_at and not self._is_over:
            due = int((now - started) * order.rate) + 1
            tried = 0
            while sent < due and tried < len(laboratories):
                laboratory = laboratories[turn % len(laboratories)]
                turn += 1
                if laboratory.underway >= order.pipeline:
                    tried += 1
                    continue
                tried = 0
                due_at = started + sent / order.rate
                if not self._send_next(laboratory, due_at):
                    return
                self._late.append(now - due_at)
                sent += 1
            await asyncio.sleep(_PAUSE_SECONDS)
        self._ended_at = self._ended_at or time.monotonic()

    async def _last_answers(self) -> None:
        until = time.monotonic() + _ANSWER_SECONDS
        while any(each.underway and not each.is_closed for each in self._laboratories):
            if self._problem:
                return
            if time.monotonic() > until:
                self.fail("messages without an answer for 30 s")
                return
            await asyncio.sleep(0.01)

    def _report(self) -> Report:
        if self._problem:
            return Report(problem=self._problem)
        if not self._latencies:
            return Report(problem="nothing was acknowledged in the measured time")
        if self.order.journal:
            Path(self.order.journal).write_bytes(msgspec.msgpack.encode(self._journal))
        seconds = min(self._ended_at, self._ends_at) - self._began_at
        return Report(
            acknowledged=self._acknowledged,
            counted=self._counted,
            seconds=seconds,
            p50_seconds=quantile(self._latencies, 0.5),
            p99_seconds=quantile(self._latencies, 0.99),
            late_p99_seconds=quantile(self._late, 0.99) if self._late else 0.0,
        )


def _say(line: Phase | Report) -> None:
    sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
    sys.stdout.flush()


async def _main(order: Order, messages: list[_Message]) -> Report:
    return await _Run(order, messages).run()


if __name__ == "__main__":
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    ready = make_messages(asked.messages, asked.seed, 1 if asked.facility else 100, asked.facility)
    gc.freeze()
    _say(uvloop.run(_main(asked, ready)))
