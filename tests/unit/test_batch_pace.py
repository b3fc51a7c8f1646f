"""Files give way while others send, are at full speed while nobody does, and wait with an end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace

import pytest

from ops.batches import pace as module
from ops.batches.pace import Pace, Patience
from ops.simulate.sample import sample_message
from schemas.envelope import partition_of
from schemas.errors import TransientError

MINE = sample_message()
OURS = partition_of("990010001", 4)


class Ends:
    """A log of which the ends alone are asked."""

    def __init__(self) -> None:
        self.ends = dict.fromkeys(range(4), 0)
        self.asked = 0
        self.done = 0
        self.is_away = False

    async def end_offsets(self) -> dict[int, int]:
        self.asked += 1
        if self.is_away:
            raise TransientError("database_away")
        return dict(self.ends)

    async def handled(self) -> int:
        return self.done


@pytest.fixture
async def watched(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Pace, Ends]]:
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.001)
    ends = Ends()
    pace = Pace(share=0.25, patience_seconds=1, partitions=4, max_lag=100)
    watching = asyncio.ensure_future(pace.watch(ends, ends.handled))  # type: ignore[arg-type]
    yield pace, ends
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


async def looks(ends: Ends, count: int = 3) -> None:
    until = ends.asked + count
    while ends.asked < until:
        await asyncio.sleep(0.001)


async def test_what_a_file_itself_appends_is_nobody_else(watched: tuple[Pace, Ends]) -> None:
    pace, ends = watched
    await looks(ends)
    for _ in range(20):
        pace.note_own(MINE)
        ends.ends[OURS] += 1
        await looks(ends, 1)
    assert not pace.others_send


@pytest.mark.parametrize("away", [False, True])
async def test_another_door_is_seen_and_a_log_that_is_away_counts_as_one(
    watched: tuple[Pace, Ends], away: bool
) -> None:
    pace, ends = watched
    await looks(ends)
    assert not pace.others_send
    ends.is_away = away
    ends.ends[(OURS + 1) % 4] += 1
    await looks(ends)
    assert pace.others_send


def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("asyncio.sleep", sleep)
    return waits


async def test_the_share_is_kept_while_others_send_and_the_pause_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits = slept(monkeypatch)
    pace = Pace(share=0.25, patience_seconds=1, partitions=4, max_lag=100)
    await pace.breathe(0.01)
    pace.note_others()
    await pace.breathe(0.01)
    await pace.breathe(100.0)
    assert waits == [0, pytest.approx(0.03), 1.0]


async def test_files_wait_for_a_dispatch_that_is_behind_but_only_while_others_send(
    watched: tuple[Pace, Ends],
) -> None:
    pace, ends = watched
    pace.note_own(MINE)
    ends.ends[OURS] += 1
    ends.done = -1_000
    await looks(ends)
    await pace.breathe(0)
    ends.ends[(OURS + 1) % 4] += 1
    await looks(ends)
    waiting = asyncio.ensure_future(pace.breathe(0))
    await looks(ends, 20)
    assert not waiting.done()
    ends.done = 0
    await waiting


async def test_waits_grow_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = slept(monkeypatch)
    now = 0.0
    clock: Callable[[], float] = lambda: now  # noqa: E731
    monkeypatch.setattr("ops.batches.pace.time", SimpleNamespace(monotonic=clock))
    patience = Patience(600)
    for _ in range(20):
        await patience.wait()
    assert all(0 < wait <= 5.0 for wait in waits) and waits[-1] >= 2.5 > waits[0]
    now = 600.0
    with pytest.raises(TransientError, match="batch_waits"):
        await patience.wait()
