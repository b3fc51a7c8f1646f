"""Silent laboratories on a real database: learned from counted hours, judged, closed, asked for."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from litestar import Litestar
from litestar.exceptions import HTTPException

from ops.asking import Asker
from ops.bootstrap import Hub
from ops.measuring.laboratories import Laboratories
from ops.measuring.top import TopLaboratories
from ops.problems import http_problem, hub_problem
from ops.register.access import Gate
from ops.register.lab_routes import Desk
from ops.runtime.metrics import METRICS, Told
from ops.runtime.postgres import lent
from ops.silence import closing, store
from ops.silence.hours import PARIS, day_of
from ops.silence.routes import silence_routes
from ops.silence.standing import Bounds
from ops.silence.watch import SilenceDesk, SilenceWatch
from schemas.errors import HubError, PermanentError
from tests.support.hub import scratch_hub
from tests.support.postgres import Database

NOW = datetime(2026, 4, 28, 14, 50, tzinfo=PARIS).astimezone(UTC)
"""A Tuesday."""
BOUNDS = Bounds(silent=4, doubtful=2.5, short=4, least_seconds=1_800, days=21)
WHY = Asker(actor="on call", reason="they move house")
TOKEN = "operator-token-of-a-test"
ASKS = {"Authorization": f"Bearer {TOKEN}", "X-Actor": "on call"}


class At:
    def now(self) -> datetime:
        return NOW


# Working hours of nine weeks. LAB1 sends as always; LAB2 stopped at noon; LAB3 has sent for a week;
# LAB4 never did.
_FILL = """
INSERT INTO lab_hour (lab_id, hour, received, last_at)
SELECT l.n, h, 40, h + CASE WHEN h > $1::timestamptz - interval '1 hour' THEN interval '48 minutes'
                            ELSE interval '59 minutes' END
FROM generate_series($1::timestamptz - interval '63 days', $1::timestamptz, interval '1 hour') AS h,
     (VALUES (1), (2), (3)) AS l (n)
WHERE extract(isodow FROM h AT TIME ZONE 'Europe/Paris') < 6
  AND extract(hour FROM h AT TIME ZONE 'Europe/Paris') BETWEEN 8 AND 17
  AND (l.n <> 2 OR h < $1::timestamptz - interval '3 hours')
  AND (l.n <> 3 OR h > $1::timestamptz - interval '7 days')
"""


@pytest.fixture
async def hub(database: Database, tmp_path: Path) -> AsyncIterator[Hub]:
    async with scratch_hub(database, tmp_path) as made:
        async with lent(made.pool) as connection:
            await connection.execute("UPDATE lab SET state = 'live'")
            await connection.execute(_FILL, NOW.replace(minute=0))
        yield made


async def test_the_one_that_stopped_is_found_and_a_closure_explains_it(hub: Hub) -> None:
    laboratories = Laboratories(hub.pool, At())
    watch, told = SilenceWatch(BOUNDS, learn_most=3), Told()
    top = TopLaboratories(laboratories, told, most=3, keep_days=70, judge=watch.look)
    async with lent(hub.pool) as connection:
        await top.look(connection)
        assert METRICS.silence_pasts_due._value.get() == 1, "three are learned in a look"
        await top.look(connection)
        assert METRICS.silence_pasts_due._value.get() == 0
        assert METRICS.laboratories_standing.labels("silent")._value.get() == 1
        assert METRICS.laboratories_standing.labels("usual")._value.get() == 1
        assert METRICS.laboratories_standing.labels("new")._value.get() == 2
        scores = {s.labels["laboratory"]: s.value for s in told.collect()[3].samples}
        assert scores.keys() == {"LAB2"}
        assert scores["LAB2"] > 4
        assert await store.learn_some(connection, day_of(NOW), 10) == (0, 0), "once a day"
        assert await store.learn_some(connection, day_of(NOW) + 1, 10) == (4, 0)

        today = NOW.date()
        noted = await closing.add(connection, " lab2 ", today, today, asker=WHY, now=NOW)
        assert (noted.laboratory, noted.last_day) == ("LAB2", today)
        await watch.look(connection, await laboratories.read(connection, 24))
        assert METRICS.laboratories_standing.labels("silent")._value.get() == 0
        assert METRICS.laboratories_standing.labels("closed")._value.get() == 1
        with pytest.raises(PermanentError, match="closure_overlaps"):
            await closing.add(connection, "LAB2", today, today, asker=WHY, now=NOW)
        with pytest.raises(PermanentError, match="bad_closure"):
            await closing.add(
                connection, "LAB2", today, today - timedelta(days=1), asker=WHY, now=NOW
            )
        with pytest.raises(PermanentError, match="no_such_laboratory"):
            await closing.listed(connection, "LAB9", today)
        assert [each.laboratory for each in await closing.listed(connection, None, today)] == [
            "LAB2"
        ]
        assert await closing.listed(connection, "LAB1", today) == []
        assert await closing.remove(connection, "LAB2", today, WHY) == today
        with pytest.raises(PermanentError, match="no_such_closure"):
            await closing.remove(connection, "LAB2", today, WHY)
        rows = await connection.fetch(
            "SELECT action, reason FROM audit WHERE subject = 'laboratory LAB2' ORDER BY audit_id"
        )
        assert [row["action"] for row in rows] == ["closure_added", "closure_removed"]
        assert rows[0]["reason"] == "2026-04-28 to 2026-04-28: they move house"


async def test_closures_of_long_ago_go(hub: Hub) -> None:
    async with lent(hub.pool) as connection:
        for day in (date(2025, 11, 3), date(2026, 3, 2)):
            await closing.add(connection, "LAB1", day, day, asker=WHY, now=NOW)
        await store.forget_closures(connection, day_of(NOW))
        kept = await closing.listed(connection, "LAB1", date(2025, 1, 1))
        assert [each.first_day for each in kept] == [date(2026, 3, 2)]


async def test_the_operator_is_answered_and_nobody_else(hub: Hub) -> None:
    async with lent(hub.pool) as connection:
        await store.learn_some(connection, day_of(NOW), 10)
    silence = SilenceDesk(hub.pool, Laboratories(hub.pool, At()), BOUNDS)
    desk = Desk(pool=hub.pool, clock=At(), gate=Gate(tokens={"operator": TOKEN}))
    application = Litestar(
        route_handlers=silence_routes(silence, desk),
        exception_handlers={HTTPException: http_problem, HubError: hub_problem},
    )
    closure = {"laboratory": "LAB1", "first_day": "2026-05-04", "last_day": "2026-05-09"}
    path = "/v1/laboratories/closures"
    transport = httpx.ASGITransport(app=cast("Any", application))
    async with httpx.AsyncClient(transport=transport, base_url="http://hub") as http:
        for asked in ("/v1/laboratories/silent", path):
            assert (await http.get(asked)).status_code == 401
            answer = await http.get(asked, headers={"Authorization": "Bearer x"})
            assert answer.status_code == 403
        assert (await http.post(path, json=closure)).status_code == 401
        assert (await http.delete(f"{path}/LAB1/2026-05-04")).status_code == 401

        def names(answer: Any) -> list[tuple[str, str]]:
            rows = json.loads(answer.text)["laboratories"]
            return [(row["laboratory"], row["standing"]) for row in rows]

        assert names(await http.get("/v1/laboratories/silent", headers=ASKS)) == [
            ("LAB2", "silent")
        ]
        everybody = names(await http.get("/v1/laboratories/silent?all=true", headers=ASKS))
        assert everybody == [
            ("LAB2", "silent"),
            ("LAB3", "new"),
            ("LAB4", "new"),
            ("LAB1", "usual"),
        ]
        assert (await http.post(path, json=closure, headers=ASKS)).status_code == 201
        listed = json.loads((await http.get(path, headers=ASKS)).text)["closures"]
        assert [each["actor"] for each in listed] == ["on call"]
        assert (await http.delete(f"{path}/LAB1/2026-05-04", headers=ASKS)).status_code == 204
        assert json.loads((await http.get(path, headers=ASKS)).text)["closures"] == []
