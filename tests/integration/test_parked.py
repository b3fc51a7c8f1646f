"""Parked messages in people's hands: nothing is lost, nothing is done without a word why."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from click.testing import CliRunner

from ingest.judge import LabProfile, map_again
from ops.asking import Asker
from ops.cli import main
from ops.parking import acting, commands, mending
from ops.parking.looking import Wish, list_kinds, list_parked, show_parked
from ops.simulate.sample import sample_message
from schemas.errors import PermanentError
from schemas.finding import Finding, Level
from schemas.place import Place
from schemas.report import MappedMessage
from schemas.topics import Stream
from tests.support.fold import verified
from tests.support.hub import Road, scratch_hub
from tests.support.people import message, report
from tests.support.postgres import Database

WHY = Asker(actor="on call", reason="the laboratory says what was meant")
UNMAPPABLE = Finding(code="obr_code_missing", level=Level.ERROR, place=Place(segment="OBR"))
CODE = "94500-6^SARS-CoV-2 ARN [Présence] Respiratoire ; PCR^LN".encode()
ALL = Wish(reason="unmappable")


@pytest.fixture
async def road(database: Database, tmp_path: Path) -> AsyncIterator[Road]:
    async with scratch_hub(database, tmp_path) as hub:
        yield Road(hub)


def right(**changes: bytes) -> bytes:
    """A whole message of LAB1, control id C-1."""
    raw = sample_message().replace(b"990010001|HUB", b"LAB1|HUB", 1)
    return raw.replace(b"L0001-20260306-0001", changes.get("control_id", b"C-1"))


def wrong() -> bytes:
    """The same; nobody can say what was examined."""
    return right().replace(b"L0001|" + CODE + b"|||2026", b"L0001||||2026")


async def park(road: Road, n: int = 1, *, partition: int = 0) -> list[UUID]:
    offsets = await road.put(
        *[UNMAPPABLE] * n, raws=[wrong() + b"%d" % k for k in range(n)], partition=partition
    )
    await road.dispatch()
    rows = await road.rows(
        'SELECT message_id FROM outcome WHERE partition = $1 AND "offset" = ANY ($2::bigint[])'
        ' ORDER BY "offset"', partition, offsets,
    )  # fmt: skip
    return [row["message_id"] for row in rows]


async def listed(road: Road, **wish: Any) -> list[Any]:
    async with road.hub.pool.acquire() as connection:
        return await list_parked(connection, Wish(**wish))


async def audited(road: Road) -> list[tuple[str, str, str]]:
    rows = await road.rows("SELECT actor, action, reason FROM audit ORDER BY audit_id")
    return [tuple(row) for row in rows]


async def test_they_are_found_by_reason_laboratory_time_and_owner(road: Road) -> None:
    (first,) = await park(road)
    second, third = await park(road, 2, partition=1)
    assert [each.message_id for each in await listed(road)] == [first, second, third]
    assert [each.message_id for each in await listed(road, laboratory="LAB1")] == [first]
    assert not await listed(road, reason="unexpected")
    assert not await listed(road, until=(await listed(road))[0].parked_at)
    named = Wish(messages=(second,))
    assert (await acting.assign(road.hub, named, "Camille", WHY, dry_run=False)).done == 1
    assert [each.message_id for each in await listed(road, owner="Camille")] == [second]
    assert [each.message_id for each in await listed(road, owner="-")] == [first, third]
    async with road.hub.pool.acquire() as connection:
        kinds = await list_kinds(connection)
        shown = await show_parked(connection, second)
    assert [(kind.laboratory, kind.messages) for kind in kinds] == [("LAB2", 2), ("LAB1", 1)]
    assert (shown.message.owner, shown.message.reason) == ("Camille", "unmappable")
    assert await audited(road) == [("on call", "parked_assigned", WHY.reason)]


async def test_nothing_is_done_without_a_word_or_a_selection(road: Road) -> None:
    await park(road)
    for act in (acting.replay, acting.discard):
        with pytest.raises(PermanentError, match="bad_reason"):
            await act(road.hub, ALL, Asker(actor="x"), dry_run=False)
        with pytest.raises(PermanentError, match="name_some"):
            await act(road.hub, Wish(), WHY, dry_run=False)
        with pytest.raises(PermanentError, match="bad_limit"):
            await act(road.hub, Wish(reason="unmappable", limit=2_000), WHY, dry_run=False)
        with pytest.raises(PermanentError, match="no_such_reason"):
            await act(road.hub, Wish(reason="mood"), WHY, dry_run=False)
        told = await act(road.hub, ALL, WHY, dry_run=True)
        assert (told.done, told.plan.messages) == (0, 1)
        assert told.plan.by_kind == {"unmappable LAB1": 1}
    assert len(await listed(road)) == 1
    assert not await audited(road)


async def test_discarded_is_an_ending_that_the_account_counts(road: Road) -> None:
    await park(road, 3)
    done = await acting.discard(road.hub, Wish(reason="unmappable", limit=2), WHY, dry_run=False)
    assert (done.done, done.plan.there_are_more) == (2, True)
    account = await road.account()
    assert account.closes
    assert account.parked_by_reason == {"discarded": 2, "unmappable": 1}
    assert len(await listed(road)) == 1
    assert [action for _, action, _ in await audited(road)] == ["parked_discarded"] * 2
    again = await acting.discard(road.hub, ALL, WHY, dry_run=False)
    assert again.done == 1  # what has ended is not ended twice


async def test_a_replay_goes_in_the_order_in_which_they_came(road: Road) -> None:
    ids = await park(road, 3)
    done = await acting.replay(road.hub, ALL, WHY, dry_run=False)
    assert done.done == 3
    await road.dispatch()
    rows = await road.rows('SELECT message_id, replayed_by FROM outcome WHERE "offset" < 3')
    by = {row["message_id"]: row["replayed_by"] for row in rows}
    assert [by[each] for each in ids] == [3, 4, 5]
    assert len(await listed(road)) == 3, "today's mapping parks them again"
    assert (await road.account()).closes


async def test_mended_bytes_keep_place_and_time_and_stand_wherever_it_is_read_back(
    road: Road,
) -> None:
    (id_,) = await park(road)
    before = (await road.rows("SELECT received_at FROM outcome"))[0]["received_at"]
    told = await mending.mend(road.hub, id_, right(), WHY, dry_run=True)
    assert (told.reports, told.number, told.replay) == (1, 0, None)
    assert not await road.rows("SELECT 1 FROM mended")
    done = await mending.mend(road.hub, id_, right(), WHY, dry_run=False)
    assert done.number == 1 and done.replay is not None
    await road.dispatch()
    (row,) = await road.rows(
        'SELECT ending, received_at, replayed_by, message_id FROM outcome WHERE "offset" = 0'
    )
    assert tuple(row) == ("dispatched", before, 1, id_)
    (report,) = await road.rows('SELECT partition, "offset" FROM report')
    assert tuple(report) == (0, 0), "its place in the laboratory's line"
    events = await road.events(Stream.DOSSIER)
    assert [event["kind"] for event in events] == ["published"]
    await verified(road)
    assert not await listed(road)
    async with road.hub.pool.acquire() as connection:
        assert (await show_parked(connection, id_)).message.resolution == "replayed"
    record = await road.hub.log.fetch(0, 0)
    assert record is not None, "its own bytes stay"
    with pytest.raises(PermanentError, match="not_waiting"):
        await mending.mend(road.hub, id_, right(), WHY, dry_run=False)
    assert [action for _, action, _ in await audited(road)] == ["parked_mended", "replay"]


async def test_a_later_message_still_stands_above_what_is_mended_behind_it(road: Road) -> None:
    """Order is that of acceptance: the mended one came first."""
    (id_,) = await park(road)
    later = right(control_id=b"C-2").replace(b"|||F", b"|||C")
    mapped = map_again(later, LabProfile())
    assert isinstance(mapped, MappedMessage)
    await road.put(mapped, raws=[later])
    await road.dispatch()
    before = await road.events(Stream.DOSSIER)
    await mending.mend(road.hub, id_, right(), WHY, dry_run=False)
    await road.dispatch()
    (standing,) = await road.rows('SELECT "offset", status FROM report')
    assert tuple(standing) == (1, "C")
    assert await road.events(Stream.DOSSIER) == before
    assert (await road.account()).closes


async def test_bytes_of_another_message_or_still_wrong_are_not_taken(road: Road) -> None:
    (id_,) = await park(road)
    for raw, reason in (
        (right(control_id=b"C-9"), "another_message"),
        (right().replace(b"|LAB1|", b"|LAB2|"), "another_message"),
        (wrong(), "service_code_missing"),
        (b"PID|1", "not_hl7"),
        (right() + b"N" * 20_000_000, "too_large"),
    ):
        with pytest.raises(PermanentError, match=reason) as refused:
            await mending.mend(road.hub, id_, raw, WHY, dry_run=False)
        assert "PAT-TROIS" not in str(refused.value)
    assert not await road.rows("SELECT 1 FROM mended")
    assert not await audited(road)


async def test_the_bytes_are_shown_only_with_a_word_in_the_audit(road: Road) -> None:
    (id_,) = await park(road)
    with pytest.raises(PermanentError, match="bad_reason"):
        await mending.raw_of(road.hub, id_, Asker(actor="x"))
    assert b"PAT-TROIS" in await mending.raw_of(road.hub, id_, WHY)
    assert [action for _, action, _ in await audited(road)] == ["parked_show_identity"]


@pytest.fixture
def instance(road: Road, monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def here(*_: Any, **__: Any) -> AsyncIterator[Any]:
        yield road.hub

    monkeypatch.setattr(commands, "instance_at", here)


@pytest.mark.usefixtures("instance")
async def test_a_selection_by_filters_is_told_before_it_is_done(
    road: Road, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    await park(road, 2)
    given: dict[str, Any] = {"dry_run": False, "may": False, "as_json": False}
    assert await commands.act(tmp_path, "discard", ALL, WHY, "", **given) == 1
    assert "say --yes" in capsys.readouterr().out
    assert len(await listed(road)) == 2
    assert await commands.act(tmp_path, "discard", ALL, WHY, "", **{**given, "may": True}) == 0
    assert "2 discarded" in capsys.readouterr().out
    assert await commands.print_parked(tmp_path, Wish(), kinds=True, as_json=True) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_each_command_says_what_it_needs() -> None:
    run = CliRunner().invoke
    for command in ("list", "show", "raw", "fix", "assign", "replay", "discard"):
        assert run(main, ["parked", command, "--help"]).exit_code == 0
    assert "--reason" in run(main, ["parked", "discard", "--for", "unmappable"]).output


async def test_a_replay_of_what_was_dispatched_that_parks_now_is_found_by_its_own_id(
    road: Road,
) -> None:
    await road.put(message(), raws=[wrong()])
    await road.dispatch()
    await road.put_replay(0)
    await road.dispatch()
    (row,) = await road.rows('SELECT message_id FROM outcome WHERE "offset" = 0')
    assert [each.message_id for each in await listed(road)] == [row["message_id"]]


async def test_what_was_discarded_and_is_sent_again_is_a_message_of_its_own(road: Road) -> None:
    alone = message(None, report(filler_order_number="", placer_order_number=""))
    await road.put(UNMAPPABLE, raws=[right()])
    await road.dispatch()
    await road.put(alone, raws=[right()])
    await road.dispatch()
    assert await road.endings() == [("parked", "unmappable"), ("duplicate", "same_message")]
    await acting.discard(road.hub, ALL, WHY, dry_run=False)
    await road.put(alone, alone, raws=[right(), right()])
    await road.dispatch()
    assert (await road.endings())[2:] == [("dispatched", ""), ("duplicate", "same_message")]
    assert not await road.rows("SELECT 1 FROM lab_finding WHERE code = 'control_id_reused'")
    events = await road.kinds()
    await road.put_replay(0)  # asked for before it was discarded, or by somebody who does not know
    await road.dispatch()
    assert (await road.endings())[0] == ("duplicate", "same_message")
    (first, later) = await road.rows(
        'SELECT message_id, original FROM outcome WHERE "offset" IN (0, 2) ORDER BY "offset"'
    )
    assert first["original"] == later["message_id"]
    assert await road.kinds() == events
    assert (await road.rows("SELECT count(*) AS n FROM report"))[0]["n"] == 1
    assert (await road.account()).closes
    await verified(road)


@pytest.mark.parametrize("at_once", [1, 100])
async def test_what_could_not_be_read_may_be_sent_again(road: Road, at_once: int) -> None:
    unreadable = msgspec.structs.replace(road.record(message(), raw=b"same"), payload=b"broken")
    await road.hub.log.append([unreadable, road.record(message(), raw=b"same")])
    await road.dispatch(at_once)
    assert await road.endings() == [("parked", "unreadable_payload"), ("dispatched", "")]
    await road.put(message(), raws=[b"same"])
    await road.dispatch()
    assert (await road.endings())[2] == ("duplicate", "same_message")
    assert (await road.account()).closes


@pytest.mark.parametrize("at_once", [1, 100])
async def test_a_replay_before_it_is_sent_again_counts_whatever_the_batch(
    road: Road, at_once: int
) -> None:
    """Its end is taken back by the replay: what is sent again after it is a duplicate."""
    await road.put(UNMAPPABLE, raws=[right()])
    await road.dispatch()
    await acting.discard(road.hub, ALL, WHY, dry_run=False)
    await road.put_replay(0)
    await road.put(message(), raws=[right()])
    await road.dispatch(at_once)
    endings = await road.endings()
    assert (endings[0], endings[2]) == (("dispatched", ""), ("duplicate", "same_message"))
    assert (await road.account()).closes


async def test_what_was_delivered_once_is_not_doubled_by_its_discard(road: Road) -> None:
    alone = message(None, report(filler_order_number="", placer_order_number=""))
    await road.put(alone, raws=[wrong()])
    await road.dispatch()
    await road.put_replay(0)
    await road.dispatch()
    await acting.discard(road.hub, ALL, WHY, dry_run=False)
    await road.put(alone, raws=[wrong()])
    await road.dispatch()
    assert (await road.endings())[2] == ("duplicate", "same_message")
    assert (await road.rows("SELECT count(*) AS n FROM report"))[0]["n"] == 1


async def test_a_replay_that_comes_after_the_discard_is_its_end(road: Road) -> None:
    await road.put(UNMAPPABLE, raws=[right()])
    await road.dispatch()
    await acting.replay(road.hub, ALL, WHY, dry_run=False)
    await acting.discard(road.hub, ALL, WHY, dry_run=False)
    await road.dispatch()
    assert (await road.endings())[0] == ("dispatched", "")
    (row,) = await road.rows("SELECT resolution, resolved_at FROM parked")
    assert row["resolution"] == "replayed" and row["resolved_at"] is not None
    assert (await road.account()).closes
