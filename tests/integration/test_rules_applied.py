"""The rules in effect, applied to what came before them: taken back, sent, let go; asked twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ops.asking import Asker
from ops.bootstrap import Hub
from ops.ruling import commands
from ops.ruling.applying import Applied, applied_as_text
from ops.ruling.commands import applying_of
from ops.stewards.reemitting import NOTHING_YET
from schemas.errors import HubError, PermanentError
from schemas.report import Coded
from schemas.topics import Stream
from tests.integration.test_rule_sets import Hands, load, other, pass_time, send, without_tracing
from tests.support.fold import verified
from tests.support.hub import Road, scratch_hub
from tests.support.people import observation, report
from tests.support.postgres import Database

ASKER = Asker(actor="a.martin", reason="a rule was wrong")
TRACING, PUBLIC, DOSSIER = Stream.CONTACT_TRACING, Stream.PUBLIC_HEALTH, Stream.DOSSIER
HOUR = timedelta(hours=1)


@pytest.fixture
async def road(database: Database, tmp_path: Path) -> AsyncIterator[Road]:
    async with scratch_hub(database, tmp_path) as hub:
        # Sets take effect in the past: who verifies goes by the database's own clock.
        yield Road(msgspec.structs.replace(hub, clock=Hands(hub.clock.now() - HOUR)))


async def apply(road: Road, *, asker: Asker = ASKER, **about: Any) -> Applied:
    now = road.hub.clock.now()
    bounds: dict[str, Any] = {"since": now - 9 * HOUR, "until": now + HOUR, "dry_run": False}
    bounds |= about
    async with road.hub.pool.acquire() as connection:
        return await applying_of(road.hub).apply(
            connection, bounds.pop("since"), bounds.pop("until"), asker, now=now, **bounds
        )


async def settle(road: Road) -> int:
    persons = 0
    while done := await road.dispatcher.stewards.reemit_due():
        persons += done
    return persons


async def change(road: Road, source: bytes) -> None:
    pass_time(road, 300)
    await load(road, source)
    pass_time(road, 300)


async def told(road: Road, stream: Stream) -> list[tuple[str, str, str]]:
    return [(e["kind"], e["reason"], e["rule_version"]) for e in await road.events(stream)]


async def test_what_a_wrong_rule_published_is_withdrawn_by_the_set_that_mends_it(
    road: Road,
) -> None:
    await load(road, other("wrong"))
    await send(road)
    await change(road, without_tracing("mended"))
    beside = {stream: await told(road, stream) for stream in (PUBLIC, DOSSIER)}
    dry = await apply(road, dry_run=True)
    assert (dry.differ, dry.persons, dry.changes) == (1, 1, {TRACING: {"withdrawn": 1}})
    assert await road.rows("SELECT 1 FROM reemission") == []
    done = await apply(road)
    assert (done.rules, done.reports, done.differ, done.persons) == ("mended", 1, 1, 1)
    assert await settle(road) == 1
    assert (await told(road, TRACING))[1:] == [("withdrawn", "rules_changed", "mended")]
    assert {stream: await told(road, stream) for stream in (PUBLIC, DOSSIER)} == beside
    await verified(road)
    (row,) = await road.rows("SELECT actor, subject, reason FROM audit WHERE action='rules_apply'")
    assert (row["actor"], row["subject"]) == (ASKER.actor, "set mended")
    assert row["reason"].endswith(f": {ASKER.reason}")


async def test_what_a_wrong_rule_kept_back_is_published(road: Road) -> None:
    await load(road, without_tracing("wrong"))
    await send(road)
    await change(road, other("mended"))
    assert (await apply(road)).changes == {TRACING: {"published": 1}}
    await settle(road)
    assert await told(road, TRACING) == [("published", "new", "mended")]
    await verified(road)


async def test_a_hold_that_no_rule_asks_for_any_more_goes(road: Road) -> None:
    odd = observation(coded=None, value="voir commentaire")
    await send(road, report(observations=(odd,)))
    rules = msgspec.json.decode(other("mended"))
    for rule in rules["rules"]:
        rule["holds_on"] = []
        rule["must_not"] = [each for each in rule["must_not"] if not each.get("doubts")]
        rule["must"] = [each for each in rule["must"] if not each.get("doubts")]
    await change(road, msgspec.json.encode(rules))
    changes = (await apply(road)).changes
    assert changes == {TRACING: {"released": 1}, PUBLIC: {"released": 1}}
    await settle(road)
    assert await road.rows("SELECT 1 FROM hold") == []
    await verified(road)


async def test_asked_twice_it_does_no_harm_and_what_differs_not_is_left_alone(road: Road) -> None:
    await load(road, other("wrong"))
    await send(road)
    flu = Coded(code="718-7", text="Hémoglobine", system="LN")
    await send(
        road,
        report(filler_order_number="F-2", observations=(observation(code=flu),), code=flu),
        partition=1,
        ins=(),
        birth_family="AUTRE",
    )
    await change(road, without_tracing("mended"))
    for _ in range(2):
        done = await apply(road)
        assert (done.reports, done.differ, done.persons) == (2, 1, 1)
    await settle(road)
    before = {stream: await told(road, stream) for stream in Stream}
    done = await apply(road)
    assert (done.differ, done.persons) == (0, 0)
    assert await settle(road) == 0
    assert {stream: await told(road, stream) for stream in Stream} == before


async def test_stopped_on_the_way_it_begins_again_and_finds_the_rest(road: Road) -> None:
    await load(road, other("wrong"))
    for partition in range(3):
        name, born = f"AUTRE{'ABC'[partition]}", f"19{70 + 3 * partition}-04-1{partition}"
        await send(road, partition=partition, ins=(), birth_family=name, birth_date=born)
    await change(road, without_tracing("mended"))

    def stop(_: int) -> None:
        raise KeyError("stopped")

    with pytest.raises(KeyError):
        await apply(road, progress=stop)
    assert len(await road.rows("SELECT 1 FROM reemission")) == 1
    seen: list[int] = []
    assert (await apply(road, progress=seen.append)).persons == 3
    assert seen[-1] == 3
    assert await settle(road) == 3
    assert [each[0] for each in await told(road, TRACING)].count("withdrawn") == 3


async def test_what_is_due_for_another_reason_keeps_it_and_begins_at_the_first_report(
    road: Road,
) -> None:
    await load(road, other("wrong"))
    await send(road)
    await change(road, without_tracing("mended"))
    (person,) = await road.rows("SELECT person_id FROM person")
    await road.rows(
        "INSERT INTO reemission (person_id, reason, after_report, since) VALUES"
        " ($1, 'opposition', 'ffffffff-ffff-ffff-ffff-ffffffffffff', now()) RETURNING 1",
        person["person_id"],
    )
    await apply(road)
    (row,) = await road.rows("SELECT reason, after_report FROM reemission")
    assert (row["reason"], row["after_report"]) == ("opposition", NOTHING_YET)


async def test_only_what_came_in_the_time_is_gone_over(road: Road) -> None:
    await load(road, other("wrong"))
    await send(road)
    await change(road, without_tracing("mended"))
    now = road.hub.clock.now()
    assert (await apply(road, since=now - HOUR / 60, until=now)).reports == 0
    assert (await apply(road, since=now - HOUR, until=now)).reports == 1


async def test_what_can_be_read_no_more_is_said_and_stays(road: Road) -> None:
    await load(road, other("wrong"))
    await send(road)
    await change(road, without_tracing("mended"))
    await road.rows("DELETE FROM intake RETURNING 1")  # its retention has passed
    done = await apply(road)
    assert (done.reports, done.unreadable, done.persons) == (0, 1, 0)
    assert "1 can be read no more" in applied_as_text(done)


@pytest.mark.parametrize(
    ("asker", "reason"),
    [(Asker(actor=" ", reason="x"), "bad_actor"), (Asker(actor="a.martin"), "bad_reason")],
)
async def test_without_a_word_nothing_is_done(road: Road, asker: Asker, reason: str) -> None:
    await send(road)
    with pytest.raises(PermanentError) as caught:
        await apply(road, asker=asker)
    assert caught.value.reason == reason
    assert await road.rows("SELECT 1 FROM audit") == []


async def test_it_waits_until_no_batch_by_the_rules_before_can_be_under_way(road: Road) -> None:
    await send(road)
    await load(road, without_tracing("t-1"))
    with pytest.raises(HubError, match="rules_too_new"):
        await apply(road)
    assert (await apply(road, dry_run=True)).differ == 1, "looking does no harm"
    pass_time(road, 61)
    assert (await apply(road)).differ == 1


async def test_what_is_said_holds_numbers_alone(road: Road) -> None:
    await load(road, other("wrong"))
    await send(road)
    await change(road, without_tracing("mended"))
    text = applied_as_text(await apply(road, dry_run=True))
    assert "1 reports looked at by the rules mended" in text
    assert "contact-tracing: to be withdrawn" in text
    assert "nothing was done" in text
    assert "gone over by dispatch" in applied_as_text(await apply(road))


async def test_the_command_prints_numbers_and_json(
    road: Road, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @asynccontextmanager
    async def instance_at(_: Path, **__: Any) -> AsyncIterator[Hub]:
        yield road.hub

    monkeypatch.setattr(commands, "instance_at", instance_at)
    await load(road, other("wrong"))
    await send(road)
    await change(road, without_tracing("mended"))
    begun: dict[str, Any] = {"since": "24h", "until": "2100-01-01", "as_json": False}
    assert await commands.apply_rules(tmp_path, ASKER, dry_run=True, **begun) == 0
    assert "nothing was done" in capsys.readouterr().out
    begun["as_json"] = True
    assert await commands.apply_rules(tmp_path, ASKER, dry_run=False, **begun) == 0
    done = msgspec.json.decode(capsys.readouterr().out, type=Applied)
    assert (done.persons, done.changes) == (1, {TRACING: {"withdrawn": 1}})
    assert await settle(road) == 1
