"""The process that asks hl7apy: `python -m ops.second_opinion.worker MEMORY_BYTES SECONDS`.

Reads messages and writes verdicts over its pipes, each a length of four bytes and msgpack. Its
memory is bounded from the start; a message that takes too long ends the process, also when nobody
is left to kill it. Nothing is written anywhere else: standard error would hold values.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from math import ceil
from typing import BinaryIO, Final

import msgspec

from ingest.er7 import read
from schemas.errors import PermanentError
from schemas.place import Place

LENGTH_BYTES: Final = 4
READY: Final = b""
"""The first frame: hl7apy is loaded."""
MAX_FRAME_BYTES: Final = 16 * 2**20


class Answer(msgspec.Struct, frozen=True):
    """What hl7apy found; None where it could not read the message at all."""

    found: tuple[tuple[str, Place], ...] | None


def framed(content: bytes) -> bytes:
    """Return content with its length before it."""
    return len(content).to_bytes(LENGTH_BYTES, "big") + content


def main() -> None:
    """Answer message after message until the pipe closes."""
    memory_bytes, seconds = int(sys.argv[1]), float(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold the message
    # What a library prints must not stand between two answers.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)

    from .verdict import verdict  # noqa: PLC0415 - inside the bounds that were just set

    answers.write(framed(READY))
    while (raw := _next(sys.stdin.buffer)) is not None:
        # The one who asked kills this process after SECONDS; if that one is dead, this ends it.
        signal.alarm(ceil(seconds) + 1)
        try:
            told = verdict(raw, read(raw).charset)
        except PermanentError:
            answer = Answer(None)
        else:
            answer = Answer(told.found if told.was_read else None)
        signal.alarm(0)
        answers.write(framed(msgspec.msgpack.encode(answer)))


def _next(pipe: BinaryIO) -> bytes | None:
    head = pipe.read(LENGTH_BYTES)
    if len(head) < LENGTH_BYTES:
        return None
    return pipe.read(int.from_bytes(head, "big"))


if __name__ == "__main__":
    main()
