"""What `indicators delays` prints and writes, page by page."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pyarrow.parquet as pq
import pytest

from ops.indicators import delay_commands
from ops.indicators.delayed import Delayed
from schemas.errors import PermanentError
from schemas.figures import DelayClass, DelayFigure, Extraction

MADE = Extraction(number=3, at=datetime(2026, 3, 30, 12, tzinfo=UTC))
TOLD = DelayFigure(
    condition="sars-cov-2",
    area="france",
    period="week",
    label="2026-S10",
    tests=100,
    classes=(
        DelayClass(first=0, last=0, unknown=False, tests=60),
        DelayClass(first=1, last=None, unknown=True, tests=40),
    ),
    median_days=0,
)
WITHHELD = DelayFigure(
    condition="sars-cov-2", area="department:01", period="week", label="2026-S11",
    flags=("suppressed",),
)  # fmt: skip


async def pages(*figures: DelayFigure, times: int = 1) -> AsyncIterator[Delayed]:
    for figure in figures * times:
        yield Delayed(extraction=MADE, condition="sars-cov-2", delays=[figure])


async def written(form: str, *figures: DelayFigure) -> tuple[int, bytes]:
    file = io.BytesIO()
    code = await delay_commands._FORMS[form](pages(*figures), file)
    return code, file.getvalue()


async def test_a_table_for_eyes() -> None:
    code, text = await written("table", TOLD, WITHHELD)
    assert code == 0
    lines = text.decode().splitlines()
    assert lines[0] == "extraction 3 of 2026-03-30T12:00:00+00:00"
    assert "department:01" in lines[-1]
    assert "-" in lines[-1]
    assert lines[1].endswith("flags")
    assert lines[-1].endswith("suppressed")


async def test_csv_has_one_head_and_a_line_a_class() -> None:
    _, text = await written("csv", TOLD, WITHHELD)
    lines = text.decode().splitlines()
    assert len(lines) == 4
    assert lines[1].endswith("0,0,False,60,,3,2026-03-30T12:00:00+00:00")
    assert lines[2].endswith("1,,True,40,,3,2026-03-30T12:00:00+00:00")
    assert lines[3].endswith(",,,,suppressed,3,2026-03-30T12:00:00+00:00")


async def test_json_is_one_object() -> None:
    _, text = await written("json", TOLD, WITHHELD)
    found = json.loads(text)
    assert found["extraction"]["number"] == 3
    assert [each["label"] for each in found["delays"]] == ["2026-S10", "2026-S11"]


async def test_parquet_is_typed() -> None:
    _, content = await written("parquet", TOLD, WITHHELD)
    table = pq.read_table(io.BytesIO(content))
    assert table["tests_of_class"].to_pylist() == [60, 40, None]
    assert table["unknown"].to_pylist() == [False, True, None]
    assert table["median_days"].to_pylist() == [0, 0, None]


@pytest.mark.parametrize("form", ["table", "csv", "json"])
async def test_nothing_told_is_said(form: str) -> None:
    code, _ = await written(form)
    assert code == 1


async def test_a_table_is_bounded() -> None:
    with pytest.raises(PermanentError, match="too_many_to_print"):
        await delay_commands._as_table(pages(TOLD, times=5_001), io.BytesIO())
