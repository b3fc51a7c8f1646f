"""The intake log in memory: as the real ones, and it can be told to fail or to doubt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from ops.runtime.intake_log import Kept, ReadBatch
from schemas.envelope import IntakeRecord, StoredRecord
from schemas.errors import HubError, OffsetGone, UnknownResult


class FakeIntakeLog:
    def __init__(self, partitions: int) -> None:
        self.lanes: dict[int, list[StoredRecord]] = {p: [] for p in range(partitions)}
        self.begins = dict.fromkeys(range(partitions), 0)
        self.fail_next: HubError | None = None
        self.store_before_failing = False
        self.forgets = Kept()

    async def append(self, records: Sequence[IntakeRecord]) -> list[int]:
        error, self.fail_next = self.fail_next, None
        if error is not None and not (
            isinstance(error, UnknownResult) and self.store_before_failing
        ):
            raise error
        offsets = []
        for record in records:
            lane = self.lanes[record.partition]
            offset = self.begins[record.partition] + len(lane)
            lane.append(
                StoredRecord(
                    offset=offset,
                    **{f: getattr(record, f) for f in msgspec.structs.asdict(record)},
                )
            )
            offsets.append(offset)
        if error is not None:
            raise error
        return offsets

    async def read(self, positions: Mapping[int, int], limit: int) -> ReadBatch:
        next_offsets = dict(positions)
        records: list[StoredRecord] = []
        share = max(1, limit // max(1, len(positions)))
        for partition, offset in positions.items():
            begin = self.begins[partition]
            if offset < begin:
                raise OffsetGone(partition, offset, begin)
            found = self.lanes[partition][offset - begin :][: min(share, limit - len(records))]
            records += found
            next_offsets[partition] = offset + len(found)
        return ReadBatch(records=records, next_offsets=next_offsets)

    async def fetch(self, partition: int, offset: int) -> StoredRecord | None:
        place = offset - self.begins[partition]
        lane = self.lanes[partition]
        return lane[place] if 0 <= place < len(lane) else None

    async def begin_offsets(self) -> dict[int, int]:
        return dict(self.begins)

    async def end_offsets(self) -> dict[int, int]:
        return {p: self.begins[p] + len(lane) for p, lane in self.lanes.items()}

    async def kept(self) -> Kept:
        return self.forgets

    async def close(self) -> None:
        return

    def drop_below(self, partition: int, offset: int) -> None:
        """Forget the records below `offset`, as retention does."""
        begin = self.begins[partition]
        self.lanes[partition] = self.lanes[partition][offset - begin :]
        self.begins[partition] = offset
