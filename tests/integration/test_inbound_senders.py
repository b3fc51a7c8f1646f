"""An inbound record speaks for the laboratory whose key signed it, and for no other."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ingest.ack import facility_not_yours
from ingest.inbound_proof import sign
from ingest.lab_store import PostgresLabStore
from tests.integration.test_inbound import Place, numbered
from tests.support.hub import scratch_hub
from tests.support.inbound import headers_of, read_all
from tests.support.postgres import Database

LABS = [f"DIAGONAL{number:02d}" for number in range(50)]
SIZE = len(LABS)


@pytest.fixture
async def place(
    database: Database, tmp_path: Path, kafka_bootstrap: str, unique_topic_prefix: str
) -> AsyncIterator[Place]:
    async with scratch_hub(database, tmp_path) as hub:
        store = PostgresLabStore(hub.pool)
        for lab in LABS:
            await store.register(lab)
        made = Place(hub, kafka_bootstrap, unique_topic_prefix)
        await made.prepare(LABS)
        yield made


async def test_fifty_laboratories_and_fifty_facilities_meet_on_the_diagonal_alone(
    place: Place,
) -> None:
    facilities = [numbered(number, lab) for number, lab in enumerate(LABS)]
    async with place.writer() as writer:
        for lab in LABS:
            await writer.write(*facilities, laboratory=lab)
    await place.run(place.passed(SIZE * SIZE))
    assert await place.in_log() == SIZE
    answers = await read_all(place.writer().settings, place.reply_topic, SIZE * SIZE)
    told = Counter(
        (dict(each.headers)["laboratory"].decode(), each.key, each.value.split(b"MSA|")[1][:2])
        for each in answers
    )
    assert told == {
        (lab, b"M-%d" % number, b"AA" if lab == own else b"AR"): 1
        for lab in LABS
        for number, own in enumerate(LABS)
    }
    rows = await place.road.rows(
        'SELECT "offset", laboratory, reason FROM inbound_parked WHERE topic = $1', place.topic
    )
    assert {row["reason"] for row in rows} == {facility_not_yours().code}
    off = {at for at in range(SIZE * SIZE) if at // SIZE != at % SIZE}
    assert {row["offset"] for row in rows} == off
    assert all(row["laboratory"] == LABS[row["offset"] // SIZE] for row in rows)


async def test_fifty_names_and_fifty_keys_meet_on_the_diagonal_alone(place: Place) -> None:
    """A name proves nothing: its own key does, and no other laboratory's."""
    async with place.writer() as writer:
        for name, raw in ((name, numbered(at, name)) for at, name in enumerate(LABS)):
            for key in LABS:
                signed = sign(place.keys[key], place.topic, name.encode(), raw)
                await writer.write(raw, laboratory=name, headers=headers_of(name, signed))
    await place.run(place.passed(SIZE * SIZE))
    assert await place.in_log() == SIZE
    rows = await place.road.rows(
        "SELECT reason, count(*) AS n FROM inbound_parked GROUP BY reason",
    )
    assert {row["reason"]: row["n"] for row in rows} == {"bad_signature": SIZE * (SIZE - 1)}
