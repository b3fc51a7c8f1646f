"""One look at one thing: how it is, and what to do; and a bound for looks that may hang."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from schemas.errors import HubError


class State(StrEnum):
    """How a thing is."""

    GOOD = "good"
    ADVICE = "advice"
    """It works; a person should look at it some day."""
    WRONG = "wrong"
    """It does not work, or will not for long: it fails the command."""
    NOT_USED = "not used"
    """Not configured, or not started: no fault."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of one thing."""

    area: str
    name: str
    state: State
    said: str
    to_do: str = ""


Look = Callable[[], Awaitable[list[Check]]]


def good(area: str, name: str, said: str) -> Check:
    """Return that a thing is well."""
    return Check(area=area, name=name, state=State.GOOD, said=said)


def advice(area: str, name: str, said: str, to_do: str) -> Check:
    """Return that a thing should be looked at."""
    return Check(area=area, name=name, state=State.ADVICE, said=said, to_do=to_do)


def wrong(area: str, name: str, said: str, to_do: str) -> Check:
    """Return that a thing is wrong."""
    return Check(area=area, name=name, state=State.WRONG, said=said, to_do=to_do)


def not_used(area: str, name: str, said: str) -> Check:
    """Return that a thing is not used here."""
    return Check(area=area, name=name, state=State.NOT_USED, said=said)


async def bounded(area: str, look: Look, seconds: float) -> list[Check]:
    """Look, for so long at most; what hangs or fails is a finding itself."""
    try:
        async with asyncio.timeout(seconds):
            return await look()
    except TimeoutError:
        return [
            wrong(area, "answer", f"no answer in {seconds:g} s", "look at what it waits for: a"
                  " disk, a database or a network that hangs (doctor_seconds is the bound)")
        ]  # fmt: skip
    except HubError as error:
        return [wrong(area, error.reason, "it cannot be used", error.remedy)]


_MARKS: Final = {
    State.GOOD: "ok",
    State.ADVICE: "look",
    State.WRONG: "WRONG",
    State.NOT_USED: "-",
}


def as_text(found: Sequence[Check]) -> str:
    """Return findings for a terminal: a line each, what to do below."""
    lines = []
    area = ""
    for each in found:
        if each.area != area:
            area = each.area
            lines.append(area)
        told = each.said if each.state is not State.NOT_USED else f"not used: {each.said}"
        lines.append(f"  {_MARKS[each.state]:<5}  {each.name:<22}  {told}")
        if each.to_do:
            lines.append(f"         {'':<22}  -> {each.to_do}")
    wrongs = sum(each.state is State.WRONG for each in found)
    looks = sum(each.state is State.ADVICE for each in found)
    lines.append(f"{wrongs} wrong, {looks} to look at" if wrongs or looks else "nothing is wrong")
    return "\n".join(lines) + "\n"
