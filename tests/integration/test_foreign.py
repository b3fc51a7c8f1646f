"""Who spoke for another: one entry in the audit chain an hour, whatever the number of messages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from ingest.lab import Peer
from ops.foreign import ForeignFacilities
from tests.support.hub import scratch_hub
from tests.support.postgres import Database

ENTRIES = "SELECT subject, reason FROM audit WHERE action = 'facility_not_yours' ORDER BY audit_id"


class Moved:
    def __init__(self) -> None:
        self.at = datetime(2026, 3, 6, 12, 10, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at


def peer(name: str) -> Peer:
    return Peer(lab_id=1, registry_id=name, proof="certificate")


async def test_one_entry_an_hour_of_all_processes_and_no_free_text(
    database: Database, tmp_path: Path
) -> None:
    async with scratch_hub(database, tmp_path) as hub:
        clocks = [Moved(), Moved()]
        doors = [ForeignFacilities(lambda name: name == "LAB2", each) for each in clocks]
        for door in doors:
            for _ in range(100):
                door.note(peer("LAB1"), "LAB2")
                door.note(peer("LAB1"), "300017985")
                door.note(peer("LAB1"), "MRS DUPONT")
                door.note(peer("LAB3"), "LAB2")
            await door.flush(hub.pool)
        async with hub.pool.acquire() as connection:
            rows = [tuple(row) for row in await connection.fetch(ENTRIES)]
        assert rows == [
            ("laboratory LAB1", "spoke for LAB2"),
            ("laboratory LAB1", "spoke for 300017985"),
            ("laboratory LAB1", "spoke for a facility nobody registered"),
            ("laboratory LAB3", "spoke for LAB2"),
        ]
        clocks[0].at += timedelta(hours=1)
        doors[0].note(peer("LAB1"), "LAB2")
        assert len(doors[0]._due) == 1


async def test_what_is_held_is_bounded() -> None:
    door = ForeignFacilities(lambda _: False, Moved(), max_held=3)
    for number in range(100):
        door.note(peer("LAB1"), f"{number:05d}")
    assert len(door._due) == len(door._seen) == 3
