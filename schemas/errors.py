"""The taxonomy of errors: three classes, one table.

No error text ever holds the value of a field: it says what is wrong, where, and what to do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .place import NOWHERE, Place


class HubError(Exception):
    """A classified failure: a stable reason code, and what a person can do about it.

    Args:
        reason: Stable snake_case code, safe in logs, metrics and answers.
        remedy: One sentence that tells the reader what to do. Never a value of a field.
    """

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(f"{reason}: {remedy}" if remedy else reason)
        self.reason = reason
        self.remedy = remedy


class PermanentError(HubError):
    """The message is at fault: refused at the door (AE) or parked; never retried."""

    def __init__(self, reason: str, remedy: str = "", place: Place = NOWHERE) -> None:
        super().__init__(reason, remedy)
        self.place = place


class TransientError(HubError):
    """The world is at fault: retried in place, bounded and jittered; never parked."""


class FatalError(HubError):
    """The promise cannot be kept: exit non-zero, commit nothing, let the supervisor restart."""


class UnknownResult(FatalError):
    """Nobody can say whether a write became durable: no answer is given, connections close."""


class OffsetGone(PermanentError):
    """A read below the start of a log partition: what stood there has been dropped."""

    def __init__(self, partition: int, offset: int, begin: int) -> None:
        super().__init__(
            "offset_gone",
            f"partition {partition} starts at {begin}, {offset} was asked: start from there",
        )
        self.partition = partition
        self.offset = offset
        self.begin = begin


class Fenced(FatalError):
    """A newer process took this one's place: stop at once, commit nothing."""


class HistoriesDiverged(FatalError):
    """Outbox and Kafka topic tell two stories: see docs/runbooks/histories-diverged.md."""


@contextmanager
def pure_step() -> Iterator[None]:
    """Give what pure code raises unclassified a class: the message at hand parks as `unexpected`.

    In code that touches the world an unclassified error stays what it is: fatal.

    Raises:
        PermanentError: `unexpected`, with the type of the error and the line of code; no text.
    """
    try:
        yield
    except HubError:
        raise
    except Exception as error:  # noqa: BLE001 - boundary: pure code, one message; never the process
        trace = error.__traceback__
        where = ""
        while trace is not None:
            name = trace.tb_frame.f_code.co_filename.rpartition("/")[2]
            where, trace = f"{name}:{trace.tb_lineno}", trace.tb_next
        raise PermanentError("unexpected", f"{type(error).__name__} at {where}") from None
