"""The disk guard: how little is little, and the door that closes and opens again by itself."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from ops import upkeep
from ops.runtime.health import disk_is_low
from ops.runtime.metrics import METRICS
from ops.runtime.settings import load_settings

GIB = 2**30


class Usage(NamedTuple):
    total: int
    used: int
    free: int


class Disk:
    """A disk of which the test says how much is free, and of which folder was asked."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.free = total
        self.asked: list[Path] = []

    def usage(self, folder: Path) -> Usage:
        self.asked.append(folder)
        return Usage(self.total, self.total - self.free, self.free)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk(100 * GIB)
    monkeypatch.setattr(shutil, "disk_usage", made.usage)
    return made


@pytest.mark.parametrize(
    ("total", "free", "low"),
    [
        (100 * GIB, 2 * GIB, False),  # exactly the setting is enough
        (100 * GIB, 2 * GIB - 1, True),
        (100 * GIB, 0, True),
        (10 * GIB, GIB, False),  # a small disk: a tenth of it, not the setting
        (10 * GIB, GIB - 1, True),
        (20 * GIB, 2 * GIB, False),  # both are the same
        (20 * GIB, 2 * GIB - 1, True),
    ],
)
def test_low_is_less_than_the_setting_or_a_tenth_whichever_is_less(
    disk: Disk, tmp_path: Path, total: int, free: int, low: bool
) -> None:
    disk.total, disk.free = total, free
    assert disk_is_low(tmp_path, 2 * GIB) is low
    assert disk.asked == [tmp_path]


def test_a_real_disk_answers(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    assert free > 0
    assert disk_is_low(tmp_path, 0) is False  # nobody can have less than nothing


@pytest.fixture
async def door(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SimpleNamespace]:
    """A door under the station's own watch, which looks all the time here."""
    monkeypatch.setattr(upkeep, "_DISK_SECONDS", 0.0)
    made: Any = SimpleNamespace(acceptor=SimpleNamespace(closed_reason=""))
    hub: Any = SimpleNamespace(
        settings=load_settings(data_dir=tmp_path, min_free_disk_bytes=2 * GIB)
    )
    made.log = SimpleNamespace(reason="")
    watch = asyncio.create_task(upkeep._watch_room(hub, made, made.log))
    try:
        yield made
    finally:
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch


async def test_the_door_closes_and_opens_again_by_itself(
    disk: Disk, door: SimpleNamespace, tmp_path: Path
) -> None:
    await _looked(disk)
    assert (door.acceptor.closed_reason, _closed()) == ("", 0)
    for _ in range(2):
        disk.free = GIB
        await _looked(disk)
        assert (door.acceptor.closed_reason, _closed()) == ("disk_low", 1)
        disk.free = 50 * GIB
        await _looked(disk)
        assert (door.acceptor.closed_reason, _closed()) == ("", 0)
    assert set(disk.asked) == {tmp_path}


async def test_the_door_closes_also_for_the_log(disk: Disk, door: SimpleNamespace) -> None:
    for reason in ("log_away", "backlog_old", ""):
        door.log.reason = reason
        await _looked(disk)
        assert (door.acceptor.closed_reason, _closed()) == (reason, float(bool(reason)))
    door.log.reason = "log_away"
    disk.free = GIB
    await _looked(disk)
    assert door.acceptor.closed_reason == "disk_low"


async def test_a_closed_door_is_told_once_and_its_opening_once(
    disk: Disk, door: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    log = SimpleNamespace(
        error=lambda event, **_: told.append(event), info=lambda event, **_: told.append(event)
    )
    monkeypatch.setattr(upkeep, "_log", log)
    for free in (GIB, GIB, 50 * GIB, 50 * GIB, GIB):
        disk.free = free
        await _looked(disk)
    assert told == ["door_closed", "door_open", "door_closed"]


async def _looked(disk: Disk) -> None:
    """Let the watch look twice: the second look is later than what the test has just set."""
    seen = len(disk.asked)
    while len(disk.asked) < seen + 2:
        await asyncio.sleep(0)


def _closed() -> float:
    (sample,) = (
        sample
        for family in METRICS.door_closed.collect()
        for sample in family.samples
    )  # fmt: skip
    return float(sample.value)
