"""Files speak for the laboratory that their folder or their request has proved, and no other."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from ingest.fairness import FairLimits, Fairness
from ingest.lab import Lab, LabLimits
from ops.register.credentials import new_token
from ops.runtime.metrics import METRICS
from schemas.errors import TransientError
from tests.integration.test_batches import (
    ER7,
    Http,
    Place,
    file_of,
    http,
    lab_folder,
    look,
    names,
    numbered,
    place,
    put,
    told,
)

__all__ = ["http", "place"]

LABS = [f"DIAGONAL{number:02d}" for number in range(50)]


async def test_fifty_folders_and_fifty_facilities_meet_on_the_diagonal_alone(
    place: Place, tmp_path: Path
) -> None:
    for lab in LABS:
        await place.door.register.admit(lab)
    content = b"".join(numbered(number, lab) for number, lab in enumerate(LABS))
    folders = {lab: lab_folder(tmp_path / "root", lab) for lab in LABS}
    for folder in folders.values():
        put(folder, "all.hl7", content)
    watch = place.watch(tmp_path / "root")
    while any(names(folder, "in") for folder in folders.values()):
        await look(watch)
    for own, (lab, folder) in enumerate(folders.items()):
        answered = told((folder["out"] / "all.hl7.ack").read_bytes())
        assert answered == [
            f"{'AA' if number == own else 'AR'} M-{number}" for number in range(len(LABS))
        ], lab
    assert await place.in_log() == len(LABS)
    refused = len(LABS) * (len(LABS) - 1)
    assert place.door.counts.take() == Counter({("AR", "facility_not_yours"): refused})


async def test_fifty_tokens_and_fifty_facilities_meet_on_the_diagonal_alone(
    place: Place, http: Http
) -> None:
    tokens = {}
    for lab in LABS:
        await place.door.register.admit(lab)
        async with place.hub.pool.acquire() as connection:
            made = await new_token(connection, lab, "files", actor="test", reason="")
        tokens[lab] = made.token
    await place.door.register.refresh()
    content = b"".join(numbered(number, lab) for number, lab in enumerate(LABS))
    for own, lab in enumerate(LABS):
        answer = await http.client.post(
            "/v1/batches?name=all",
            content=content,
            headers={"Content-Type": ER7, "Authorization": f"Bearer {tokens[lab]}"},
        )
        assert told(answer.content) == [
            f"{'AA' if number == own else 'AR'} M-{number}" for number in range(len(LABS))
        ], lab
    assert await place.in_log() == len(LABS)
    refused = len(LABS) * (len(LABS) - 1)
    assert place.door.counts.take() == Counter({("AR", "facility_not_yours"): refused})


async def test_an_upload_with_a_token_is_its_laboratorys_alone(place: Place, http: Http) -> None:
    tokens = {}
    for lab in LABS[:2]:
        await place.door.register.admit(lab)
        async with place.hub.pool.acquire() as connection:
            made = await new_token(connection, lab, "files", actor="test", reason="")
        tokens[lab] = {"Authorization": f"Bearer {made.token}"}
    await place.door.register.refresh()
    content = b"".join(numbered(number, lab) for number, lab in enumerate(LABS[:2]))
    sent = {}
    for number, lab in enumerate(LABS[:2]):
        answer = await http.client.post(
            "/v1/batches?name=same", content=content, headers={"Content-Type": ER7, **tokens[lab]}
        )
        assert answer.status_code == 200
        assert [line[:2] for line in told(answer.content)].index("AA") == number
        sent[lab] = answer.headers["location"]
    assert len(set(sent.values())) == 2, "names are each laboratory's own"
    mine, others = tokens[LABS[0]], tokens[LABS[1]]
    assert (await http.client.get(sent[LABS[0]], headers=mine)).status_code == 200
    assert (await http.client.get(sent[LABS[0]], headers=others)).status_code == 404
    assert (await http.client.get(f"{sent[LABS[0]]}/ack", headers=others)).status_code == 404
    assert (await http.client.get(sent[LABS[0]])).status_code == 404
    wrong = {"Content-Type": ER7, "Authorization": "Bearer nobody"}
    answer = await http.client.post("/v1/batches", content=content, headers=wrong)
    assert answer.status_code == 401


async def test_a_file_over_its_laboratorys_rate_waits_and_no_wait_is_an_answer(
    place: Place,
) -> None:
    lab = await place.door.register.admit(LABS[0])
    assert lab is not None
    set_limits(place, lab, LabLimits(rate_per_second=50.0, burst=2))
    content = b"".join(numbered(number, LABS[0]) for number in range(12))
    hits = _hits("laboratory_rate")
    batch = await place.begin(content)
    await place.runner().run(batch, io.BytesIO(content), place.way_in(LABS[0]))
    assert told(await place.answers(batch)) == [f"AA M-{number}" for number in range(12)]
    assert _hits("laboratory_rate") > hits, "it was over its rate"
    assert await place.in_log() == 12
    assert place.door.counts.take() == {}


async def test_a_file_and_its_laboratorys_window_do_not_take_each_others_places(
    place: Place,
) -> None:
    lab = await place.door.register.admit(LABS[0])
    assert lab is not None
    fairness = place.door.acceptor.fairness = Fairness(FairLimits(window_frames=1))
    share = fairness.share_of(lab, 0.0)
    share.enter()  # somebody of the laboratory waits for an answer
    content = b"".join(numbered(number, LABS[0]) for number in range(30))
    batch = await place.begin(content)
    await place.runner().run(batch, io.BytesIO(content), place.way_in(LABS[0]))
    assert told(await place.answers(batch)) == [f"AA M-{number}" for number in range(30)]
    assert (share.in_flight, share.connections, share.lines) == (1, 0, {})
    assert place.door.counts.take() == {}


async def test_a_file_over_its_quota_keeps_its_place_and_counts_no_refusal(place: Place) -> None:
    lab = await place.door.register.admit(LABS[0])
    assert lab is not None
    set_limits(place, lab, LabLimits(daily_quota=3))
    content = file_of(*(numbered(number, LABS[0]) for number in range(6)))
    batch = await place.begin(content)
    runner = place.runner(patience_seconds=0.05)
    with pytest.raises(TransientError, match="batch_waits"):
        await runner.run(batch, io.BytesIO(content), place.way_in(LABS[0]))
    assert await place.in_log() == 3
    assert place.door.counts.take() == {}
    assert (batch.counts.AA, batch.pieces) == (3, 1)
    set_limits(place, lab, LabLimits(daily_quota=2))  # tomorrow, with less than it took today
    with pytest.raises(TransientError, match="batch_waits"):
        await runner.run(batch, io.BytesIO(content), place.way_in(LABS[0]))
    with pytest.raises(TransientError, match="batch_waits"):
        await runner.run(batch, io.BytesIO(content), place.way_in(LABS[0]))
    assert (batch.counts.AA, batch.pieces) == (5, 2)
    set_limits(place, lab, LabLimits())
    await runner.run(batch, io.BytesIO(content), place.way_in(LABS[0]))
    answer = await place.answers(batch)
    assert told(answer) == [f"AA M-{number}" for number in range(6)]
    assert [answer.count(name) for name in (b"BHS|", b"BTS|6", b"FTS|1")] == [1, 1, 1]
    assert await place.in_log() == 6, "nothing was sent twice"


def set_limits(place: Place, lab: Lab, limits: LabLimits) -> None:
    place.door.register.take([msgspec.structs.replace(lab, limits=limits)], place.hub.clock.now())
    place.door.acceptor.fairness = Fairness(FairLimits(pause_seconds=0.05))


def _hits(limit: str) -> float:
    return float(METRICS.limit_hits.labels(limit)._value.get())
