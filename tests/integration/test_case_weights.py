"""What waits for a person, or can be read no more, on the real tables: one episode, one call."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from ops.asking import Asker
from ops.behind_the_door import verifier_of
from ops.holding.rechecking import retry
from ops.holding.releasing import Releasing
from ops.ruling.loading import Order, put_into_effect
from ops.withdrawing import Withdrawn
from routing.doubts import Doubt
from schemas.decision import Realm
from schemas.report import LabReport, MappedMessage, ResultStatus
from schemas.topics import Stream
from tests.integration.test_public_health import SOMEBODY, new_days, sampled, stewards, traced
from tests.properties.test_streams_machine import RULES
from tests.support.fold import verified
from tests.support.hub import Road, scratch_hub
from tests.support.identity import STEWARD, person_of_offset, stream_fold
from tests.support.people import dominique, message, observation
from tests.support.postgres import Database

ASKER = Asker(actor="an operator", reason="the laboratory was asked")


@pytest.fixture
async def road(database: Database, tmp_path: Path) -> AsyncIterator[Road]:
    async with scratch_hub(database, tmp_path) as hub:
        yield Road(hub)


def doubted(day: str, **changes: Any) -> LabReport:
    """A positive whose statuses cannot be true together."""
    corrected = (observation(status=ResultStatus.CORRECTED),)
    return sampled(day, status=ResultStatus.PRELIMINARY, observations=corrected, **changes)


async def asked_again(road: Road, told: MappedMessage, report: UUID) -> None:
    """Replay a report's message, which says what it said."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ops.prepare.map_again", lambda *_: told)
        await retry(road.hub, report, ASKER)
        await road.dispatch()


async def test_a_released_positive_takes_its_place_and_the_others_follow(road: Road) -> None:
    """And loses it again with what the word was about; a replay changes nothing."""
    told = message(None, doubted("2026-01-20"))
    (first,) = await road.put(told)
    await road.dispatch()
    await road.put(message(None, sampled("2026-02-10")))
    await road.dispatch()
    assert await traced(road) == ["2026-02-10"] == await new_days(road)
    await verified(road)
    (row,) = await road.rows('SELECT report_id FROM report WHERE "offset" = $1', first)
    releasing = Releasing(stewards(road).script)
    for stream in (Stream.CONTACT_TRACING, Stream.PUBLIC_HEALTH):
        assert not (await releasing.release(row["report_id"], stream, ASKER)).still
        assert await traced(road) == ["2026-01-20"]
        await verified(road)
    last = (await road.events(Stream.CONTACT_TRACING))[-1]
    assert (last["kind"], last["reason"]) == ("withdrawn", "case_changed")
    assert await new_days(road) == ["2026-01-20"]
    await asked_again(road, told, row["report_id"])
    assert await traced(road) == ["2026-01-20"] == await new_days(road)
    await verified(road)
    await road.put(message(None, doubted("2026-01-20", notes=("Autre chose",))))
    await road.dispatch()
    assert await traced(road) == ["2026-02-10"] == await new_days(road)
    await verified(road)


async def test_other_rules_do_not_weigh_anew_before_it_is_handled_again(road: Road) -> None:
    """Let go in contact tracing alone; by rules without it public health decides, and waits."""
    told = message(None, doubted("2026-01-20"))
    await road.put(told, message(None, sampled("2026-02-10")))
    await road.dispatch()
    (row,) = await road.rows("SELECT report_id FROM hold WHERE stream = 'contact-tracing'")
    script = stewards(road).script
    await Releasing(script).release(row["report_id"], Stream.CONTACT_TRACING, ASKER)
    assert await traced(road) == ["2026-01-20"]
    now = road.hub.clock.now()
    order = Order(actor="tester", why="test", now=now)
    async with road.hub.pool.acquire() as connection, connection.transaction():
        await put_into_effect(connection, RULES["no tracing"], order, now)
    found = await verifier_of(road.hub, road.dispatcher).verify()
    assert (found.agrees, found.older_rules) == (True, 1)
    await asked_again(road, told, row["report_id"])
    assert await traced(road) == []
    assert await new_days(road) == ["2026-02-10"]
    await verified(road)


async def test_a_release_finds_the_others_of_its_own_message(road: Road) -> None:
    """Its person has no other message: what stands beside it came with it."""
    clean = sampled("2026-01-20", filler_order_number="F-1", position=2)
    await road.put(message(None, doubted("2026-01-20"), clean))
    await road.dispatch()
    before = await traced(road)
    (row,) = await road.rows(
        "SELECT report_id FROM hold WHERE stream = 'contact-tracing' AND reason = $1",
        Doubt.STATUS_CONTRADICTS.value,
    )
    await Releasing(stewards(road).script).release(row["report_id"], Stream.CONTACT_TRACING, ASKER)
    assert await traced(road) == before == ["2026-01-20"]
    await verified(road)


async def test_a_test_in_production_keeps_nobody_from_being_told(
    database: Database, tmp_path: Path
) -> None:
    async with scratch_hub(database, tmp_path) as hub:
        instance = msgspec.structs.replace(hub.instance, realm=Realm.PRODUCTION.value)
        road = Road(msgspec.structs.replace(hub, instance=instance))
        for day in ("2026-01-20", "2026-02-10"):
            await road.put(message(None, sampled(day, filler_order_number=f"T-{day}")))
        for day in ("2026-01-20", "2026-02-10", "2026-03-01"):
            await road.put(message(dominique(ins=()), sampled(day)))
        await road.dispatch()
        assert await traced(road) == ["2026-01-20"] == await new_days(road)
        assert (await road.account()).closes
        await verified(road)


# ---------------------------------------------------------------- what can be read no more


@pytest.mark.parametrize("earlier", ["2026-02-10T07:00:00+01:00", "2026-01-20T07:00:00+01:00"])
async def test_an_index_case_that_can_be_read_no_more_gives_way(road: Road, earlier: str) -> None:
    """To what was sampled before it: of its own day, or of the same episode."""
    await road.put(message(None, sampled("2026-02-10")))
    await road.dispatch()
    await road.rows("DELETE FROM intake RETURNING 1")
    late = msgspec.structs.replace(
        sampled(earlier[:10], filler_order_number="LATE"), collected_at=earlier
    )
    await road.put(message(None, late))
    await road.dispatch()
    assert await traced(road) == [earlier[:10]]
    kinds = {(e["kind"], e["reason"]) for e in await road.events(Stream.CONTACT_TRACING)}
    assert kinds == {("published", "new"), ("withdrawn", "case_changed")}
    await verified(road)


async def test_an_index_case_that_did_not_give_way_is_found(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As releases of before left it; to emit the person again mends it."""

    async def nothing(*_: Any, **__: Any) -> list[Withdrawn]:
        return []

    (offset,) = await road.put(message(None, sampled("2026-02-10")))
    await road.dispatch()
    person = await person_of_offset(road, offset)
    await road.rows("DELETE FROM intake RETURNING 1")
    await road.put(message(None, sampled("2026-01-20")))
    with monkeypatch.context() as patch:
        patch.setattr("ops.casework.withdrawn_of", nothing)
        await road.dispatch()
    assert await traced(road) == ["2026-01-20", "2026-02-10"]
    found = await verifier_of(road.hub, road.dispatcher).verify()
    assert dict(found.differ) == {"contact-tracing not_withdrawn": 1}
    await stewards(road).reemit(person, STEWARD)
    assert await traced(road) == ["2026-01-20"]
    await verified(road)


async def test_a_merge_leaves_one_index_case_of_what_can_be_read_no_more(road: Road) -> None:
    one, two = await road.put(
        message(None, sampled("2026-01-20")), message(SOMEBODY, sampled("2026-02-10"))
    )
    await road.dispatch()
    await road.rows("DELETE FROM intake RETURNING 1")
    kept, gone = await person_of_offset(road, one), await person_of_offset(road, two)
    await stewards(road).merge(kept, gone, STEWARD)
    assert await traced(road) == ["2026-01-20"]
    last = (await road.events(Stream.CONTACT_TRACING))[-1]
    assert (last["kind"], last["reason"]) == ("withdrawn", "identity_changed")
    await verified(road)


async def test_what_is_moved_beyond_a_transaction_leaves_the_wrong_dossier(road: Road) -> None:
    """Moved and read no more: it stands in a dossier of none of its person's INS."""
    settings = road.hub.settings.model_copy(update={"steward_reports": 2, "steward_page": 1})
    road = Road(msgspec.structs.replace(road.hub, settings=settings))
    other = dominique(ins=(), birth_family="DURAND", birth_given="CAMILLE", birth_givens=())
    (one,) = await road.put(message(None, sampled("2026-01-20")))
    offsets = await road.put(
        *(message(other, sampled("2026-01-20", filler_order_number=f"X-{n}")) for n in range(5))
    )
    await road.dispatch()
    kept, gone = await person_of_offset(road, one), await person_of_offset(road, offsets[0])
    done = await stewards(road).merge(kept, gone, STEWARD)
    while await stewards(road).reemit_due():
        pass
    assert len((await stream_fold(road))["dossier"]) == 6
    await road.rows('DELETE FROM intake WHERE "offset" = ANY ($1) RETURNING 1', offsets)
    await stewards(road).undo(done.event, STEWARD)
    while await stewards(road).reemit_due():
        pass
    assert len((await stream_fold(road))["dossier"]) == 1
    reasons = {e["reason"] for e in await road.events(Stream.DOSSIER) if e["kind"] == "withdrawn"}
    assert reasons == {"identity_changed"}
