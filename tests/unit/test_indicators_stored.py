"""Published tables as they are kept."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from ops.indicators.stored import Kept, pack_table, unpack_table
from ops.indicators.tables import STRATA
from schemas.areas import departments
from schemas.figures import Figure

KEPT = Kept("sars-cov-2", "day", 739_681, "department", 7)


def test_tables_are_unpacked_by_several_threads_at_once() -> None:
    table = [
        Figure(
            condition="sars-cov-2",
            area=f"department:{code}",
            period="day",
            label="2026-03-06",
            age_class=age_class,
            sex=sex,
            tests=place % 97,
        )
        for place, code in enumerate(departments())
        for age_class, sex in STRATA
    ]
    packed = pack_table(table)
    with ThreadPoolExecutor(4) as threads:
        for found in threads.map(unpack_table, [packed] * 40, [KEPT] * 40):
            assert found == table
