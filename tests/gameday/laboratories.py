"""Laboratories that send all day, in a thread of their own: each in its order, until each message
has an answer that is not AR. What they were answered is kept for the conservation checker.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from ops.client import MllpClient
from ops.simulate.sample import sample_message
from ops.simulate.simulation import SimulatedMessage, Simulation
from schemas.errors import TransientError

LABS: Final = 12
_START: Final = datetime(2026, 1, 5, 8, tzinfo=UTC)
_AHEAD: Final = 2_000
"""The most messages that wait for their laboratory; beyond, all wait."""
_AGAIN_SECONDS: Final = 1.0
"""How long a laboratory waits before it sends again what was not taken."""
_TIMEOUT_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 180.0
_MAD_CONNECTIONS: Final = 24
_MAD_SECONDS: Final = 0.1


class Laboratories:
    """`LABS` laboratories that send so many messages a second, all together.

    Args:
        port: Of the door.
        rate: Messages a second; one that is behind does not hurry.
        seed: Of the simulation.
    """

    def __init__(self, port: int, *, rate: float, seed: int) -> None:
        self.port = port
        self.journal: list[tuple[str, str]] = []
        """Control id and MSA-1 of each answer; an empty code where none came."""
        self.silent: set[int] = set()
        """Laboratories that send nothing for now, by number."""
        self.sent_at: dict[int, float] = {}
        """When each last had an answer."""
        self._pause = LABS / rate
        made = Simulation(seed=seed, labs=LABS, start_at=_START)
        self.finess = [each.finess for each in made.laboratories]
        """Their registry ids, by number."""
        self._messages = made.messages()
        self._waiting: list[deque[SimulatedMessage]] = [deque() for _ in range(LABS)]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()), daemon=True)
        self._failed: list[BaseException] = []

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Let each end what it is at: its message is answered first."""
        self._stopping.set()
        self._thread.join(_STOP_SECONDS)
        assert not self._thread.is_alive(), "a laboratory waits for an answer without end"
        assert not self._failed, self._failed

    @property
    def codes(self) -> Counter[str]:
        """How often each answer came."""
        return Counter(code for _, code in list(self.journal))

    async def _all(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(LABS):
                    group.create_task(self._one(number))
        except BaseException as error:
            self._failed.append(error)
            raise

    async def _one(self, number: int) -> None:
        client = MllpClient("127.0.0.1", self.port, timeout_seconds=_TIMEOUT_SECONDS)
        due = time.monotonic() + number * self._pause / LABS
        try:
            for message in self._of(number):
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                while number in self.silent and not self._stopping.is_set():
                    await asyncio.sleep(0.2)
                if self._stopping.is_set():
                    return
                while (code := await self._once(client, message.raw)) in {"", "AR", "CR"}:
                    self.journal.append((message.control_id, code))
                    await asyncio.sleep(_AGAIN_SECONDS)
                self.journal.append((message.control_id, code))
                self.sent_at[number] = time.monotonic()
                due = max(due + self._pause, time.monotonic())
        finally:
            await client.close()

    def _of(self, number: int) -> Iterator[SimulatedMessage]:
        """Give the messages of one laboratory; those of others that come on the way are kept."""
        while True:
            while not self._waiting[number]:
                message = next(self._messages)
                waiting = self._waiting[message.lab_index]
                if message.expected == "AA" and message.control_id and len(waiting) < _AHEAD:
                    waiting.append(message)
            yield self._waiting[number].popleft()

    @staticmethod
    async def _once(client: MllpClient, raw: bytes) -> str:
        try:
            return (await client.send(raw)).code
        except TransientError:
            return ""


class Mad:
    """A laboratory whose software has gone mad: the same message without end, and noise.

    Args:
        port: Of the door.
    """

    FACILITY: Final = "990019999"

    def __init__(self, port: int) -> None:
        self.port = port
        self.journal: list[tuple[str, str]] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()), daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Somebody has called it."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)

    async def _all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(_MAD_CONNECTIONS):
                group.create_task(self._one(number))

    async def _one(self, number: int) -> None:
        control_id = f"MAD-{number}"
        raw = sample_message().replace(b"|990010001|HUB", f"|{self.FACILITY}|HUB".encode())
        raw = raw.replace(b"L0001-20260306-0001", control_id.encode())
        client = MllpClient("127.0.0.1", self.port, timeout_seconds=_TIMEOUT_SECONDS)
        try:
            while not self._stopping.is_set():
                code = await self._sent(client, raw)
                self.journal.append((control_id, code))
                await asyncio.sleep(_MAD_SECONDS)
        finally:
            await client.close()

    @staticmethod
    async def _sent(client: MllpClient, raw: bytes) -> str:
        try:
            return (await client.send(raw)).code
        except TransientError:
            return ""
