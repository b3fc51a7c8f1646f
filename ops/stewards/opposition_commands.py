"""`labdispatch identity oppose --batch`: what it prints line by line, never what a line holds."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ops.asking import Asker
from ops.bootstrap import Hub
from schemas.errors import PermanentError

from .acts import Stewards
from .commands import desk_at
from .local_numbers import LocalNumbers
from .opposition_batch import OppositionBatch
from .opposition_file import DONE, MAX_LINE_CHARACTERS, RESULTS, Answered, Said, read_lines


def batch_of(hub: Hub, stewards: Stewards) -> OppositionBatch:
    """Return what does the lines of a batch."""
    numbers = LocalNumbers(
        hub.pool,
        stewards.sources,
        partitions=hub.instance.partitions,
        most=hub.settings.opposition_records,
        most_persons=stewards.most_persons,
    )
    return OppositionBatch(stewards, numbers)


async def run_batch(
    data_dir: Path, file: Path, asker: Asker, *, from_line: int, as_json: bool
) -> int:
    """Do a file of oppositions and print what became of each line; 1 where one needs somebody."""
    async with desk_at(data_dir, role="stewards") as (hub, stewards):
        batch = batch_of(hub, stewards)
        lines = _lines(file, hub, from_line)
        counts: Counter[str] = Counter()
        async for answer in batch.run(lines, asker):
            counts[answer.result] += 1
            told = msgspec.json.encode(answer).decode() if as_json else _as_text(answer)
            sys.stdout.write(told + "\n")
            sys.stdout.flush()
    said = ", ".join(f"{result} {n:,}" for result, n in sorted(counts.items()))
    if not as_json:
        sys.stdout.write(f"{counts.total():,} lines: {said or 'none'}\n")
    return int(bool(counts.keys() - DONE))


def _as_text(answer: Answered) -> str:
    what_now = "" if answer.result in DONE else f" ({RESULTS[answer.result]})"
    return f"line {answer.line}: {answer.result}{what_now}"


def _lines(file: Path, hub: Hub, from_line: int) -> Iterator[Said]:
    """Yield the lines from one on.

    Raises:
        PermanentError: The file is too large, or has too many lines.
    """
    most = hub.settings.opposition_lines
    if file.stat().st_size > most * MAX_LINE_CHARACTERS:
        raise PermanentError("file_too_large", f"a file has at most {most:,} lines: cut it")
    with file.open(encoding="utf-8", errors="replace", newline=None) as source:
        for said in read_lines(source, hub.realm):
            if said.line > most + 1:
                raise PermanentError("too_many_lines", f"at most {most:,} lines: cut the file")
            if said.line >= from_line:
                yield said
