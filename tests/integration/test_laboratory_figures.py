"""What is said of each laboratory: from messages handled to rows, metrics and who may see them."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from litestar import Litestar
from litestar.exceptions import HTTPException
from litestar.testing import TestClient
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from ops.measuring.laboratories import Asked, Laboratories, forget
from ops.measuring.routes import OPEN_METRICS, as_csv, as_open_metrics, figure_routes
from ops.measuring.top import TopLaboratories
from ops.problems import http_problem
from ops.register.access import Gate
from ops.runtime.lab_hours import LabHours, write
from ops.runtime.metrics import Told
from schemas.envelope import IntakeRecord, RecordKind
from schemas.ids import id_of
from tests.support.hub import scratch_hub
from tests.support.postgres import Database

NOW = datetime(2026, 3, 9, 12, 30, tzinfo=UTC)
ID = id_of(bytes(16))
TOKEN = "operator-token-of-a-test"


class At:
    def now(self) -> datetime:
        return NOW


def message(lab_id: int, at: datetime) -> IntakeRecord:
    return IntakeRecord(
        partition=0, message_id=ID, lab_id=lab_id, kind=RecordKind.MESSAGE, received_at=at,
        inbox_key=ID, control_key=0, payload=b"",
    )  # fmt: skip


async def filled(pool: Any) -> None:
    """Two processes write: a door and a dispatch; LAB3 sent two days ago, LAB4 never did."""
    door, dispatch = LabHours(), LabHours()
    door.received([message(1, NOW - timedelta(minutes=n)) for n in range(60)])
    door.received([message(2, NOW - timedelta(hours=3)), message(3, NOW - timedelta(days=2))])
    door.turned_away(2, NOW)
    for n in range(60):
        ending = ("dispatched", "duplicate", "refused", "parked")[n % 4]
        dispatch.ended(1, NOW - timedelta(minutes=n), ending, flagged=n % 4 == 2)
    for hours in (door, dispatch):
        await write(pool, hours)
        assert hours.take() == {}
    again = LabHours()
    again.received([message(1, NOW)])
    again.received([message(9_999, NOW)])  # of a laboratory that is no more
    await write(pool, again)
    async with pool.acquire() as connection:
        await connection.execute("UPDATE lab SET daily_quota = 100 WHERE lab_id = 1")
        await connection.execute(
            "INSERT INTO lab_day (lab_id, day, messages) VALUES (1, $1, 25)", NOW.date()
        )


async def test_figures_of_every_laboratory(database: Database, tmp_path: Path) -> None:
    async with scratch_hub(database, tmp_path) as hub:
        await filled(hub.pool)
        laboratories = Laboratories(hub.pool, At(), lambda: {1: 3}.get)
        asked = await laboratories.ask(24)
        one, two, three, four = asked.laboratories
        assert one.laboratory == "LAB1"
        assert (one.received, one.dispatched, one.duplicate, one.refused, one.parked) == (
            61, 15, 15, 15, 15
        )  # fmt: skip
        assert (one.flagged_ratio, one.connections, one.quota_used_ratio) == (0.25, 3, 0.25)
        assert (one.last_message_at, one.silent_seconds) == (NOW, 0)
        assert (two.received, two.turned_away, two.silent_seconds) == (1, 1, 3 * 3_600)
        assert (three.received, three.silent_seconds) == (0, 2 * 86_400), "silent for two days"
        assert (four.received, four.last_message_at, four.silent_seconds) == (0, None, None)
        assert four.connections is None
        assert (await laboratories.ask(1)).laboratories[0].received == 32, "this hour alone"

        told = Told()
        async with hub.pool.acquire() as connection:
            await connection.execute("UPDATE lab SET state = 'live'")
            top = TopLaboratories(laboratories, told, most=1, keep_days=1)
            leading = []
            for _ in range(2):
                await top.look(connection)
                await top.tidy(connection)
                leading.append([s.labels["laboratory"] for s in told.collect()[2].samples])
            assert leading == [["LAB3"], ["LAB2"]], "the first time let the old hours go"
            await forget(connection, NOW + timedelta(hours=1))
            assert await connection.fetchval("SELECT count(*) FROM lab_hour") == 0


def rows() -> Asked:
    from tests.unit.test_top_laboratories import lab

    return Asked(
        hours=24, since=NOW, at=NOW,
        laboratories=[lab('LAB"1\\', received=5, silent_seconds=9.0), lab("LAB2")],
    )  # fmt: skip


parse: Any = text_string_to_metric_families


def test_open_metrics_are_read_by_their_own_parser() -> None:
    found = {
        (sample.name, sample.labels["laboratory"]): sample.value
        for family in parse(as_open_metrics(rows()))
        for sample in family.samples
    }
    assert found["labdispatch_laboratory_received", 'LAB"1\\'] == 5
    assert found["labdispatch_laboratory_silent_seconds", 'LAB"1\\'] == 9
    assert ("labdispatch_laboratory_silent_seconds", "LAB2") not in found


def test_csv_has_a_line_each_and_is_empty_where_nothing_is_known() -> None:
    one, two = csv.DictReader(io.StringIO(as_csv(rows())))
    assert (one["laboratory"], one["received"], one["silent_seconds"]) == ('LAB"1\\', "5", "9.0")
    assert two["silent_seconds"] == ""


class Held:
    async def ask(self, hours: int) -> Asked:
        assert hours in {24, 168}
        return rows()


def test_the_operator_alone_is_answered_in_each_form() -> None:
    held: Any = Held()
    gate = Gate(tokens={"operator": TOKEN})
    application = Litestar(
        route_handlers=figure_routes(held, gate),
        exception_handlers={HTTPException: http_problem},
    )
    asks = {"Authorization": f"Bearer {TOKEN}"}
    with TestClient(application) as http:
        for path in ("/v1/laboratories/figures", "/metrics/laboratories"):
            assert http.get(path).status_code == 401
            assert http.get(path, headers={"Authorization": "Bearer x"}).status_code == 403
        answer = http.get("/v1/laboratories/figures?hours=168", headers=asks)
        assert json.loads(answer.text)["laboratories"][1]["laboratory"] == "LAB2"
        assert http.get("/v1/laboratories/figures?hours=169", headers=asks).status_code == 400
        answer = http.get("/v1/laboratories/figures?format=csv", headers=asks)
        assert answer.headers["content-type"].startswith("text/csv")
        answer = http.get("/metrics/laboratories", headers=asks)
        assert answer.headers["content-type"] == OPEN_METRICS
        assert answer.text.endswith("# EOF\n")
