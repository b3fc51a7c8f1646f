"""What follows from a receiver's answer: ended, tried again and when, or a dead letter; pure.

Promise: no event becomes a dead letter because its receiver is away. A failure counts as the
event's own where the receiver answered this event (500, AE, AR, 4xx of SMTP), or where others got
through since it was last tried; never where the receiver says that it is busy. Times are seconds;
chance comes from the caller.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

_MOST_DOUBLINGS: Final = 30


class Outcome(StrEnum):
    """What an answer means for the event."""

    ACCEPTED = "accepted"
    TRANSIENT = "transient"
    PERMANENT = "permanent"


class Protocol(StrEnum):
    """Who said it: which kind of code an answer holds."""

    HTTP = "http"
    SMTP = "smtp"
    HL7 = "hl7"
    HUB = "hub"
    """Ourselves: the event cannot be sent at all."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A receiver's answer to one event, without any of its text.

    `code` and `detail` come from closed sets: status codes, reasons of ours, codes of tables.
    """

    outcome: Outcome
    protocol: Protocol
    code: str
    detail: str = ""
    whole: bool = False
    """The receiver as a whole cannot be had: away, busy, or it does not let us in."""
    unsure: bool = False
    """Nobody knows whether it was taken: it may still arrive after whatever is sent next."""
    busy: bool = False
    """It says itself that it has too much to do: this is never an event's own failure, for who
    takes one of two is no less busy for the other."""
    retry_after_seconds: float | None = None

    @property
    def is_taken(self) -> bool:
        """Say that the receiver itself took the event: it can be had."""
        return self.outcome is Outcome.ACCEPTED and self.protocol is not Protocol.HUB


class PushLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How often and how late something is tried again."""

    failures: int
    """So many failures of its own make an event a dead letter."""
    base_seconds: float
    event_cap_seconds: float
    receiver_cap_seconds: float
    retry_after_cap_seconds: float


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """An event as it stood before it was sent."""

    failures: int
    tried_at: datetime | None


class Next(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of an event: ended as `state`, or waiting for so many seconds."""

    state: str
    failures: int
    wait_seconds: float = 0.0


def next_of(
    answer: Answer,
    tried: Tried,
    *,
    others_got_through_at: datetime | None,
    limits: PushLimits,
    chance: float,
) -> Next:
    """Return what becomes of an event after an answer.

    Args:
        answer: What its receiver said.
        tried: How it stood before.
        others_got_through_at: When the receiver last took another event, if it ever did.
        limits: The bounds.
        chance: From 0 to 1; full jitter spreads those that failed together.
    """
    if answer.outcome is Outcome.ACCEPTED:
        return Next(state="accepted", failures=tried.failures)
    if answer.outcome is Outcome.PERMANENT:
        return Next(state="dead", failures=tried.failures + 1)
    own = not answer.whole or (
        tried.tried_at is not None
        and others_got_through_at is not None
        and others_got_through_at > tried.tried_at
        and not answer.busy
    )
    failures = tried.failures + int(own)
    if failures >= limits.failures:
        return Next(state="dead", failures=failures)
    wait = jittered(failures, limits.base_seconds, limits.event_cap_seconds, chance)
    return Next(
        state="waiting", failures=failures, wait_seconds=max(wait, _asked_for(answer, limits))
    )


def rest_of(answer: Answer, streak: int, limits: PushLimits, chance: float) -> float:
    """Return for how long a receiver is left alone after its `streak`-th failure as a whole."""
    wait = jittered(streak, limits.base_seconds, limits.receiver_cap_seconds, chance)
    return max(wait, _asked_for(answer, limits))


def jittered(times: int, base_seconds: float, cap_seconds: float, chance: float) -> float:
    """Return an exponential wait with full jitter and a cap; never under a tenth of the base.

    Source: "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
    """
    most = min(cap_seconds, base_seconds * 2.0 ** min(max(times - 1, 0), _MOST_DOUBLINGS))
    return max(base_seconds / 10, most * chance)


def _asked_for(answer: Answer, limits: PushLimits) -> float:
    """Return what the receiver asked us to wait (Retry-After), within our cap."""
    return min(answer.retry_after_seconds or 0.0, limits.retry_after_cap_seconds)
