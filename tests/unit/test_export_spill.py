"""What an export sets aside: in the order it came, and in pieces that bound what writing holds."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from ops.exporting.columns import DAY, inside_schema_of
from ops.exporting.files import GROUP_ROWS
from ops.exporting.spill import PIECE_ROWS, Spill
from ops.exporting.tables import RESULT

FIRST = date(2026, 3, 1)


def batch(rows: int, days: int) -> pa.RecordBatch:
    """Return rows that are numbered by `seq`, of one day after the other."""
    given: dict[str, Any] = {
        "seq": pa.array(range(rows), pa.int64()),
        DAY: pa.array([FIRST + timedelta(days=row % days) for row in range(rows)], pa.date32()),
    }
    schema = inside_schema_of(RESULT)
    arrays = [given.get(field.name, pa.nulls(rows, field.type)) for field in schema]
    return pa.record_batch(arrays, schema=schema)


def test_pieces_are_small_and_rows_come_in_their_order(tmp_path: Path) -> None:
    assert PIECE_ROWS <= GROUP_ROWS // 8  # writing holds a group, and of a piece what is left
    spill = Spill(tmp_path, [RESULT])
    rows = 2 * PIECE_ROWS + 7
    spill.put({RESULT.name: [batch(rows, days=1)]}, behind=[rows], expired=0)
    spill.put({RESULT.name: [batch(5, days=1)]}, behind=[rows + 5], expired=0)
    for found in (spill, Spill(tmp_path, [RESULT])):  # and of whoever goes on after a stop
        parts = list(found.rows_of(RESULT, FIRST))
        assert [part.num_rows for part in parts] == [PIECE_ROWS, PIECE_ROWS, 7, 5]
        seqs = [seq for part in parts for seq in part.column("seq").to_pylist()]
        assert seqs == [*range(rows), *range(5)]
        assert found.count(RESULT, FIRST) == rows + 5
