"""The slow, complete opinion of hl7apy beside ours: asked for after the answer, never before it."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

import msgspec

from ops.second_opinion.asking import NoOpinion
from schemas.finding import Finding

ASKED: Final = "asked"
GIVEN: Final = "given"


class Opinion(msgspec.Struct, frozen=True, kw_only=True):
    """What hl7apy says of a message: `asked`, `given` with its findings, or why there is none."""

    state: str = ASKED
    findings: tuple[Finding, ...] = ()


class Asked(Protocol):
    """Whoever has a second opinion (`ops/second_opinion`)."""

    async def opinion(self, raw: bytes) -> tuple[Finding, ...] | NoOpinion:
        """Return what is off in a message, or why there is no opinion. Never raises."""
        ...


class Holder(Protocol):
    """What an opinion is written to once it is there."""

    opinion: Opinion


class SecondOpinions:
    """Asks for opinions beside the door's work, each for one kept message.

    Args:
        asked: Bounds by itself how many may wait and how long each may take.
    """

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(self, raw: bytes, holder: Holder) -> None:
        """Ask, and write to `holder` what was answered; the message is let go of then."""
        task = asyncio.ensure_future(self._ask(raw, holder))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(self, raw: bytes, holder: Holder) -> None:
        found = await self._asked.opinion(raw)
        if isinstance(found, NoOpinion):
            holder.opinion = Opinion(state=found.value)
        else:
            holder.opinion = Opinion(state=GIVEN, findings=found)
