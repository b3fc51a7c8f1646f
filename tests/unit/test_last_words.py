"""A process that ends for good shows why for long enough to be scraped; others end at once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ops import stations
from ops.runtime.metrics import METRICS
from ops.runtime.settings import METRICS_FOLDER_VARIABLE, Settings, load_settings
from schemas.errors import FatalError, HistoriesDiverged

_PORT = 65_000


def _shown(role: str, reason: str) -> float:
    return float(METRICS.ending.labels(role, reason)._value.get())


@pytest.fixture
def stopping(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    event = asyncio.Event()
    monkeypatch.setattr(stations, "stop_on_signals", lambda: event)
    monkeypatch.setattr(stations, "configure", lambda *_: None)
    monkeypatch.setattr(stations, "settle_memory", lambda: None)
    monkeypatch.setattr("ops.runtime.metrics.serve", lambda *_: None)
    return event


def _ends_with(monkeypatch: pytest.MonkeyPatch, error: FatalError) -> None:
    async def station(settings: Settings, stopping: asyncio.Event) -> None:
        raise error

    monkeypatch.setattr(stations, "_station", lambda role: station)


@pytest.mark.parametrize("port", [_PORT, 0], ids=["own port", "under run"])
async def test_who_scrapes_sees_that_histories_diverged(
    monkeypatch: pytest.MonkeyPatch, stopping: asyncio.Event, tmp_path: Path, port: int
) -> None:
    if not port:
        monkeypatch.setenv(METRICS_FOLDER_VARIABLE, str(tmp_path))
    METRICS.ending.labels("relay", "histories_diverged").set(0)
    _ends_with(monkeypatch, HistoriesDiverged("histories_diverged", "follow the runbook"))
    settings = load_settings(metrics_port=port, behind_the_door_nice=0, last_words_seconds=60)
    ended = asyncio.create_task(stations.run_station("relay", settings))
    async with asyncio.timeout(30):
        while not _shown("relay", "histories_diverged"):
            await asyncio.sleep(0.01)
    assert not ended.done()
    stopping.set()
    async with asyncio.timeout(30):
        assert await ended == 4


@pytest.mark.parametrize(
    ("reason", "port"), [("append_unknown", _PORT), ("intake_lost", 0)], ids=["restart", "no port"]
)
async def test_what_a_restart_mends_and_what_nobody_scrapes_ends_at_once(
    monkeypatch: pytest.MonkeyPatch, stopping: asyncio.Event, reason: str, port: int
) -> None:
    _ends_with(monkeypatch, FatalError(reason, "start again"))
    settings = load_settings(metrics_port=port, behind_the_door_nice=0, last_words_seconds=60)
    async with asyncio.timeout(30):
        assert await stations.run_station("dispatch", settings) == 4
    assert not stopping.is_set()
    assert _shown("dispatch", reason) == 0
