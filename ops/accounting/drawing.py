"""What one count adds to the account: rows, gaps, and what changed of rows before. Pure.

Received records and endings were counted over the same places of the log, each by itself. Where
they are not as many, a record has no ending or two: that is a gap, and it is never hidden in a sum.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Final

import msgspec

RECEIVED: Final = "received"
REPLAY_ASKED: Final = "replay_asked"
"""Records of the log that ask for a replay; they end as `replay` and are no messages."""
REPLAY: Final = "replay"
ENDINGS: Final = ("dispatched", "duplicate", "refused", "parked")
TOLD_ONE_BY_ONE: Final = frozenset({"refused", "parked"})
NOBODY: Final = 0
"""Stands for the laboratory where nobody can say which."""

Row = tuple[date, int, str, str]
"""Day, laboratory, name, reason."""


class RecordCount(msgspec.Struct, frozen=True, kw_only=True):
    """Records of a partition, day and laboratory."""

    partition: int
    day: date
    lab_id: int
    is_replay: bool
    n: int


class EndingCount(msgspec.Struct, frozen=True, kw_only=True):
    """Endings of a day and laboratory."""

    day: date
    lab_id: int
    ending: str
    reason: str
    n: int


class Change(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """An ending that changed after it was counted."""

    change_id: int
    partition: int
    offset: int
    lab_id: int
    day: date
    before_ending: str
    before_reason: str
    after_ending: str
    after_reason: str

    @property
    def item(self) -> tuple[date, int, int, int]:
        """Name the record among those that are told one by one."""
        return self.day, self.lab_id, self.partition, self.offset


class Addition(msgspec.Struct, frozen=True, kw_only=True):
    """What a count adds."""

    rows: dict[Row, int]
    gaps: dict[tuple[date, int], int]
    now_items: list[tuple[date, int, int, int]]
    """Records that are told one by one since they changed."""
    no_items: list[tuple[date, int, int, int]]


def draw(
    records: Iterable[RecordCount],
    endings: Iterable[EndingCount],
    changes: Iterable[Change],
    places: Mapping[int, tuple[int, int]],
    today: date,
) -> Addition:
    """Draw up what a count adds.

    Args:
        records: Counted in the log.
        endings: Counted in the outcomes of the same places.
        changes: Of what was counted before.
        places: Partition -> from where to where was counted; offsets have no gaps there.
        today: The day of a gap that belongs to no record.
    """
    rows: Counter[Row] = Counter()
    gaps: Counter[tuple[date, int]] = Counter()
    found: Counter[int] = Counter()
    for each in records:
        rows[each.day, each.lab_id, REPLAY_ASKED if each.is_replay else RECEIVED, ""] += each.n
        gaps[each.day, each.lab_id] += each.n
        found[each.partition] += each.n
    for ending in endings:
        rows[ending.day, ending.lab_id, ending.ending, ending.reason] += ending.n
        gaps[ending.day, ending.lab_id] -= ending.n
    for partition, (low, high) in places.items():
        gaps[today, NOBODY] += (high - low) - found[partition]
    last: dict[tuple[date, int, int, int], bool] = {}
    for change in sorted(changes):
        rows[change.day, change.lab_id, change.before_ending, change.before_reason] -= 1
        rows[change.day, change.lab_id, change.after_ending, change.after_reason] += 1
        last[change.item] = change.after_ending in TOLD_ONE_BY_ONE
    return Addition(
        rows={row: n for row, n in rows.items() if n},
        gaps={place: n for place, n in gaps.items() if n},
        now_items=[item for item, is_told in last.items() if is_told],
        no_items=[item for item, is_told in last.items() if not is_told],
    )
