"""Oppositions in batch: each line an act, answered by its number; also of people not known yet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from litestar import Litestar
from litestar.exceptions import HTTPException

from ops.bootstrap import Hub
from ops.problems import http_problem, hub_problem
from ops.register.access import Gate
from ops.stewards import opposition_commands
from ops.stewards.acts import Stewards
from ops.stewards.credentials import add_steward
from ops.stewards.opposition_commands import batch_of, run_batch
from ops.stewards.opposition_file import said_of
from ops.stewards.opposition_routes import MAX_LINES, opposition_routes
from ops.stewards.routes import ReviewDesk
from schemas.errors import HubError
from schemas.patient import Identifier
from schemas.topics import Stream
from tests.support.hub import Road, scratch_hub
from tests.support.identity import STEWARD, person_of_offset, stream_fold
from tests.support.people import DOMINIQUE_INS, OTHER_INS, dominique, message, report
from tests.support.postgres import Database

INS, OTHER = DOMINIQUE_INS.matricule, OTHER_INS.matricule


@pytest.fixture
async def road(database: Database, tmp_path: Path) -> AsyncIterator[Road]:
    async with scratch_hub(database, tmp_path, connections=4) as hub:
        yield Road(hub)


def somebody_else(**changes: Any) -> Any:
    return dominique(
        **{
            "ins": (OTHER_INS,),
            "birth_family": "DURAND",
            "birth_given": "CAMILLE",
            "birth_givens": ("CAMILLE",),
            "birth_date": "1979-03-11",
            "birth_place": "75112",
            "phones": (),
            **changes,
        }
    )


async def done(road: Road, *lines: str) -> list[str]:
    """Do lines of `act,ins,oid,laboratory,patient_number`; return what became of each."""
    said = []
    for number, line in enumerate(lines, start=2):
        act, ins, laboratory, patient = (*line.split(","), "", "", "")[:4]
        said.append(
            said_of(
                number,
                act=act,
                ins=ins,
                oid="",
                laboratory=laboratory,
                number=patient,
                realm=road.hub.realm,
            )
        )
    batch = batch_of(road.hub, road.dispatcher.stewards)
    answers = [each async for each in batch.run(said, STEWARD)]
    assert [each.line for each in answers] == [each.line for each in said]
    return [each.result for each in answers]


async def in_dossier(road: Road) -> int:
    return len((await stream_fold(road))["dossier"])


async def test_a_batch_by_ins_withdraws_from_the_dossier_and_from_nothing_else(road: Road) -> None:
    await road.put(message(), message(somebody_else(), report(filler_order_number="F-2")))
    await road.dispatch()
    assert await in_dossier(road) == 2
    assert await done(road, f"oppose,{INS}", f"allow,{OTHER}", "oppose,12") == [
        "opposed",
        "not_opposed",
        "bad_ins",
    ]
    assert await in_dossier(road) == 1
    fold = await stream_fold(road)
    assert len(fold["public-health"]) == len(fold["contact-tracing"]) == 2
    assert (await road.events(Stream.DOSSIER))[-1]["reason"] == "opposition"
    # Given again after a stop: nothing changes.
    events = len(await road.events(Stream.DOSSIER))
    assert await done(road, f"oppose,{INS}", f"allow,{OTHER}") == [
        "opposed_already",
        "not_opposed",
    ]
    assert len(await road.events(Stream.DOSSIER)) == events
    assert await done(road, f"allow,{INS}") == ["allowed"]
    assert await in_dossier(road) == 2


async def test_one_said_before_anybody_is_known_stands_from_the_first_result_on(
    road: Road,
) -> None:
    assert await done(road, f"oppose,{INS}", f"oppose,{OTHER}") == ["opposed_ahead"] * 2
    assert await done(road, f"oppose,{INS}", f"allow,{OTHER}") == ["opposed_already", "allowed"]
    assert await done(road, f"allow,{OTHER}") == ["not_opposed"]
    rows = await road.rows("SELECT actor FROM opposition_ahead")
    assert {row["actor"] for row in rows} == {STEWARD.actor}
    # The INS of somebody whose results came without it before.
    (offset,) = await road.put(message(dominique(ins=()), report(filler_order_number="F-0")))
    await road.put(message(somebody_else(), report(filler_order_number="F-2")))
    await road.dispatch()
    assert await in_dossier(road) == 1, "the other one has allowed it"
    await road.put(message(), message(None, report(filler_order_number="F-9")))
    await road.dispatch()
    while await road.dispatcher.stewards.reemit_due():
        pass
    assert await in_dossier(road) == 1
    assert len((await stream_fold(road))["public-health"]) == 4
    person = await person_of_offset(road, offset)
    (row,) = await road.rows("SELECT person_id, actor FROM link_event WHERE kind = 'oppose'")
    assert (row["person_id"], row["actor"]) == (person, STEWARD.actor)
    left = await road.rows("SELECT 1 FROM opposition_ahead")
    assert len(left) == 1, "the same number under the other OID of this realm"
    assert await done(road, f"oppose,{INS}") == ["opposed_already"]
    assert await done(road, f"allow,{INS}") == ["allowed"]
    assert await in_dossier(road) == 4


async def test_a_word_stays_with_who_gave_it_when_a_wrong_merge_is_undone(road: Road) -> None:
    (mine,) = await road.put(message())
    (theirs,) = await road.put(message(somebody_else(), report(filler_order_number="F-2")))
    await road.dispatch()
    gone, kept = await person_of_offset(road, mine), await person_of_offset(road, theirs)
    stewards = road.dispatcher.stewards
    merged = await stewards.merge(kept, gone, STEWARD)
    assert await done(road, f"oppose,{INS}") == ["opposed"]
    assert await in_dossier(road) == 0, "one person as long as the merge stands"
    await stewards.undo(merged.event, STEWARD)
    rows = await road.rows("SELECT person_id, standing_id FROM opposition WHERE ended_at IS NULL")
    assert [tuple(row.values()) for row in rows] == [(gone, gone)]
    assert await in_dossier(road) == 1, "nobody but who said it"
    # The other way round: an allowance ends no opposition of somebody one was taken for.
    assert await done(road, f"oppose,{OTHER}") == ["opposed"]
    merged = await stewards.merge(kept, gone, STEWARD)
    assert await done(road, f"allow,{INS}") == ["allowed"]
    assert await in_dossier(road) == 0
    await stewards.undo(merged.event, STEWARD)
    rows = await road.rows("SELECT person_id FROM opposition WHERE ended_at IS NULL")
    assert [row["person_id"] for row in rows] == [kept]
    assert await in_dossier(road) == 1


async def test_somebody_elses_card_makes_nobody_oppose(road: Road) -> None:
    await road.put(message())
    await road.dispatch()
    assert await done(road, f"oppose,{OTHER}") == ["opposed_ahead"]
    child = dominique(birth_given="LEA", birth_givens=("LEA",), birth_date="2015-06-01")
    await road.put(message(child, report(filler_order_number="F-2")))
    await road.dispatch()
    assert await road.rows("SELECT 1 FROM opposition") == []


async def test_a_laboratorys_own_number_finds_whose_its_results_are_now(road: Road) -> None:
    def numbered(number: str, kind: str = "PI") -> tuple[Identifier, ...]:
        return (Identifier(value=number, oid="1.2.250.1.999.1", type=kind),)

    await road.put(
        message(dominique(identifiers=numbered("P-1"))),
        message(somebody_else(identifiers=numbered("P-2")), report(filler_order_number="F-2")),
        message(
            somebody_else(identifiers=numbered("P-3", "NH")), report(filler_order_number="F-3")
        ),
    )
    await road.dispatch()
    partition = road.hub.instance.partitions
    assert partition == 4
    results = await done(
        road, "oppose,,LAB1,P-1", "oppose,,LAB1,P-3", "oppose,,LAB1,P-9", "oppose,,NOBODY,P-1"
    )
    assert results == ["opposed", "nobody", "nobody", "no_such_laboratory"]
    assert await in_dossier(road) == 2
    assert await done(road, "oppose,,LAB1,P-1", "allow,,LAB1,P-2") == [
        "opposed_already",
        "not_opposed",
    ]
    # One number of two persons: nobody guesses.
    await road.put(
        message(somebody_else(identifiers=numbered("P-1")), report(filler_order_number="F-4"))
    )
    await road.dispatch()
    assert await done(road, "allow,,LAB1,P-1") == ["several"]


@pytest.fixture
def here(road: Road, monkeypatch: pytest.MonkeyPatch) -> Road:
    @asynccontextmanager
    async def desk_at(_: Path, **__: Any) -> AsyncIterator[tuple[Hub, Stewards]]:
        yield road.hub, road.dispatcher.stewards

    monkeypatch.setattr(opposition_commands, "desk_at", desk_at)
    return road


async def test_the_command_answers_every_line_and_goes_on_from_one(
    here: Road, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await here.put(message())
    await here.dispatch()
    file = tmp_path / "oppositions.csv"
    file.write_text(f"act,ins\noppose,{INS}\noppose,{OTHER}\noppose,nonsense\n")
    capsys.readouterr()
    assert await run_batch(tmp_path, file, STEWARD, from_line=2, as_json=False) == 1
    said = capsys.readouterr().out
    assert said.splitlines()[:2] == ["line 2: opposed", "line 3: opposed_ahead"]
    assert said.splitlines()[2].startswith("line 4: bad_ins (")
    assert "3 lines" in said
    assert INS not in said
    assert "nonsense" not in said
    assert await run_batch(tmp_path, file, STEWARD, from_line=3, as_json=True) == 1
    assert '{"line":3,"result":"opposed_already"}' in capsys.readouterr().out
    rows = await here.rows("SELECT action, subject, reason FROM audit ORDER BY audit_id")
    assert [row["action"] for row in rows] == ["oppose", "oppose"]
    assert INS not in str(rows)


async def test_a_batch_over_http_needs_a_steward(road: Road) -> None:
    async with road.hub.pool.acquire() as connection:
        steward = await add_steward(connection, "one", sees_identity=False, asker=STEWARD)
    desk = ReviewDesk(road.hub.pool, Gate(tokens={}), lambda: road.dispatcher.stewards)
    app = Litestar(
        route_handlers=opposition_routes(road.hub, desk),
        exception_handlers={HubError: hub_problem, HTTPException: http_problem},
        logging_config=None,
    )
    transport = httpx.ASGITransport(app=cast("Any", app))
    about = {"Authorization": f"Bearer {steward.token}"}
    line = {"act": "oppose", "ins": INS}
    async with httpx.AsyncClient(transport=transport, base_url="http://hub") as http:
        nobody = await http.post("/v1/persons/oppositions", json=[line])
        assert nobody.status_code == 401
        told = await http.post("/v1/persons/oppositions", json=[line, line], headers=about)
        assert told.json() == [
            {"line": 1, "result": "opposed_ahead"},
            {"line": 2, "result": "opposed_already"},
        ]
        odd = await http.post("/v1/persons/oppositions", json=[{"ins": INS}], headers=about)
        assert odd.status_code == 400 and INS not in odd.text
        many = await http.post(
            "/v1/persons/oppositions", json=[line] * (MAX_LINES + 1), headers=about
        )
        assert many.status_code == 400 and "too_many_lines" in many.text
