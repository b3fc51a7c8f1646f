"""A replay maps a message otherwise than the door did: what is read back is what was dispatched."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from schemas.report import Coded, MappedMessage, Organisation
from schemas.topics import Stream
from tests.support.fold import verified
from tests.support.hub import Road, scratch_hub
from tests.support.identity import STEWARD, stream_fold
from tests.support.people import OTHER_INS, dominique, message, observation, report
from tests.support.postgres import Database

NEGATIVE = Coded(code="260415000", text="Not detected", system="SCT")
SOMEBODY = {"ins": (OTHER_INS,), "birth_family": "AUTRE", "birth_given": "CLAUDE", "sex": "M"}
ELSEWHERE = Organisation(name="LABO DES LIONS", identifier="590000003", commune="13205")


@pytest.fixture
async def road(database: Database, tmp_path: Path) -> AsyncIterator[Road]:
    async with scratch_hub(database, tmp_path) as hub:
        yield Road(hub)


async def replayed(
    road: Road, patch: pytest.MonkeyPatch, offset: int, now: MappedMessage
) -> dict[str, dict[str, Any]]:
    """Replay a record as another mapping has it; return what the streams hold then."""
    patch.setattr("ops.prepare.map_again", lambda *_: now)
    await road.put_replay(offset)
    await road.dispatch()
    assert await road.rows("SELECT * FROM outcome WHERE ending = 'parked'") == []
    await verified(road)
    return await stream_fold(road)


def elsewhere() -> MappedMessage:
    """The same content: the laboratory's facility is no part of it."""
    return message(None, report(performer=ELSEWHERE, reported_at="2026-11-20T12:00:00+01:00"))


async def emitted_again(road: Road) -> dict[str, dict[str, Any]]:
    """Emit all persons again, as a merge or an opposition does."""
    for row in await road.rows("SELECT person_id FROM person WHERE merged_into IS NULL"):
        await road.dispatcher.stewards.reemit(row["person_id"], STEWARD)
    while await road.dispatcher.stewards.reemit_due():
        pass
    return await stream_fold(road)


async def test_the_same_content_with_other_parts_stands_as_replayed(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    (offset,) = await road.put(message())
    await road.dispatch()
    before = await stream_fold(road)
    after = await replayed(road, monkeypatch, offset, elsewhere())
    assert after[Stream.DOSSIER] != before[Stream.DOSSIER]
    assert await replayed(road, monkeypatch, offset, elsewhere()) == after
    assert await emitted_again(road) == after
    versions = await road.rows("SELECT count(*) AS n FROM report_version")
    assert versions[0]["n"] == 2, "a second replay writes nothing"
    assert await replayed(road, monkeypatch, offset, message()) == before
    assert await emitted_again(road) == before


async def test_another_content_stands_as_replayed(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    (offset,) = await road.put(message())
    await road.dispatch()
    negative = report(observations=(observation(coded=NEGATIVE, value="Not detected"),))
    after = await replayed(road, monkeypatch, offset, message(None, negative))
    assert not after[Stream.CONTACT_TRACING]
    assert await emitted_again(road) == after


async def test_back_at_the_content_of_the_door_with_other_parts(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    (offset,) = await road.put(message())
    await road.dispatch()
    negative = report(observations=(observation(coded=NEGATIVE, value="Not detected"),))
    await replayed(road, monkeypatch, offset, message(None, negative))
    after = await replayed(road, monkeypatch, offset, elsewhere())
    assert after[Stream.CONTACT_TRACING]
    assert await emitted_again(road) == after


async def test_what_another_message_says_now_stays_as_it_came(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An elder record replayed as saying the same: the version that stands came with the newer."""
    negative = report(observations=(observation(coded=NEGATIVE, value="Not detected"),))
    (offset,) = await road.put(message(None, negative))
    await road.put(message())
    await road.dispatch()
    before = await stream_fold(road)
    assert await replayed(road, monkeypatch, offset, elsewhere()) == before
    assert await emitted_again(road) == before


async def test_another_person_and_another_day_are_the_report_of_the_same_message(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    (offset,) = await road.put(message())
    await road.dispatch()
    told = message(dominique(**SOMEBODY), report(collected_at="2026-11-22T09:00:00+01:00"))
    after = await replayed(road, monkeypatch, offset, told)
    reports = await road.rows("SELECT person_id, version FROM report")
    assert [row["version"] for row in reports] == [2]
    assert await emitted_again(road) == after


async def test_an_elder_message_replayed_about_another_makes_no_second_report(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    (offset,) = await road.put(message())
    await road.put(message(None, report(notes=("Relu",))))
    await road.dispatch()
    before = await stream_fold(road)
    told = message(dominique(**SOMEBODY), report(collected_at="2026-11-22T09:00:00+01:00"))
    assert await replayed(road, monkeypatch, offset, told) == before
    assert await emitted_again(road) == before


async def test_what_cannot_be_told_in_the_same_batch(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message and two replays of it in one batch."""
    (offset,) = await road.put(message())
    await road.put_replay(offset)
    await road.put_replay(offset)
    monkeypatch.setattr("ops.prepare.map_again", lambda *_: elsewhere())
    await road.dispatch()
    await verified(road)
    held = await stream_fold(road)
    assert await emitted_again(road) == held
