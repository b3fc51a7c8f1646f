"""Holds: a stream waits with a reason, the others flow, and it goes by itself or by a word."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from ingest.header import Header, read_header
from ingest.judge import LabProfile, judge
from ops.asking import Asker
from ops.bootstrap import Hub
from ops.holding import queries, rechecking
from ops.holding.looking import Wish, list_holds, show_report
from ops.holding.rechecking import recheck, retry
from ops.holding.releasing import Releasing
from ops.holding.watch import set_limits, take_figures
from ops.register import codes
from ops.register.code_rows import row_of
from ops.replay import append_replay
from ops.runtime.metrics import METRICS
from ops.simulate.sample import sample_message
from ops.tracing.asking import trace
from ops.tracing.finding import Wanted
from routing.doubts import Doubt
from routing.rules import NOT_QUALIFIED
from schemas.decision import Realm
from schemas.errors import HubError, PermanentError, TransientError
from schemas.report import Coded, LabReport, ResultStatus
from schemas.topics import Stream
from tests.support.fold import verified
from tests.support.hub import Road, scratch_hub
from tests.support.identity import stream_fold
from tests.support.people import dominique, message, observation, report
from tests.support.postgres import Database

ASKER = Asker(actor="an operator", reason="the laboratory was asked")
TRACING, HEALTH, DOSSIER = "contact-tracing", "public-health", "dossier"


@pytest.fixture
async def road(database: Database, tmp_path: Path) -> AsyncIterator[Road]:
    async with scratch_hub(database, tmp_path) as hub:
        yield Road(hub)


def releasing(road: Road) -> Releasing:
    return Releasing(road.dispatcher.stewards.script)


def unanswered(**changes: Any) -> LabReport:
    return report(observations=(observation(coded=None, value="voir commentaire"),), **changes)


def contradicting(**changes: Any) -> LabReport:
    return report(observations=(observation(status=ResultStatus.DELETED),), **changes)


async def held(road: Road) -> dict[str, str]:
    rows = await road.rows("SELECT stream, reason FROM hold")
    return {row["stream"]: row["reason"] for row in rows}


async def report_id(road: Road) -> UUID:
    (row,) = await road.rows("SELECT report_id FROM report")
    found: UUID = row["report_id"]
    return found


async def streams(road: Road) -> set[str]:
    """Which streams hold the one report."""
    return {name for name, fold in (await stream_fold(road)).items() if fold}


# ---------------------------------------------------------------- it goes by itself


async def test_what_waits_for_an_ins_flows_when_it_comes(road: Road) -> None:
    await road.put(message(dominique(ins=())))
    await road.dispatch()
    assert await road.endings() == [("dispatched", "")]
    assert await held(road) == {DOSSIER: NOT_QUALIFIED}
    assert await streams(road) == {TRACING, HEALTH}
    (before,) = await road.rows("SELECT since FROM hold")
    # Said again, it waits since the first time.
    await road.put(message(dominique(ins=()), report(notes=("Relu",))))
    await road.dispatch()
    (after,) = await road.rows("SELECT since FROM hold")
    assert after["since"] == before["since"]
    # The INS comes with another result of the same person: the old one goes by itself.
    await road.put(message(dominique(), report(filler_order_number="F-2")))
    await road.dispatch()
    assert await held(road) == {DOSSIER: NOT_QUALIFIED}
    while await road.dispatcher.stewards.reemit_due():
        pass
    assert await held(road) == {}
    assert len((await stream_fold(road))[DOSSIER]) == 2
    account = await road.account()
    assert account.closes
    assert account.holds == {}


async def test_without_an_answer_two_streams_wait_and_a_correction_lets_them_go(
    road: Road,
) -> None:
    await road.put(message(None, unanswered()))
    await road.dispatch()
    assert await road.endings() == [("dispatched", "")]
    assert await held(road) == dict.fromkeys((TRACING, HEALTH), Doubt.RESULT_NOT_UNDERSTOOD)
    assert await streams(road) == {DOSSIER}
    account = await road.account()
    assert account.closes
    assert account.holds == {name: {Doubt.RESULT_NOT_UNDERSTOOD: 1} for name in (TRACING, HEALTH)}
    await road.put(message(None, report(status=ResultStatus.CORRECTED)))
    await road.dispatch()
    assert await held(road) == {}
    assert await streams(road) == {DOSSIER, TRACING, HEALTH}


async def test_what_is_known_of_another_condition_flows_beside_the_hold(road: Road) -> None:
    rsv = observation(
        position=2,
        code=Coded(code="92131-2", text="RSV", system="LN"),
        coded=None,
        value="voir commentaire",
    )
    await road.put(message(None, report(observations=(observation(), rsv))))
    await road.dispatch()
    assert await streams(road) == {DOSSIER, TRACING, HEALTH}
    assert await held(road) == dict.fromkeys((TRACING, HEALTH), Doubt.RESULT_NOT_UNDERSTOOD)
    negative = Coded(code="260415000", text="Not detected", system="SCT")
    known = observation(position=2, code=rsv.code, coded=negative)
    await verified(road)
    await road.put(
        message(None, report(status=ResultStatus.CORRECTED, observations=(observation(), known)))
    )
    await road.dispatch()
    assert await held(road) == {}


async def test_who_was_sampled_before_birth_waits_in_the_dossier_alone(road: Road) -> None:
    young = dominique(ins=(), birth_date="2027-01-01")
    await road.put(message(young))
    await road.dispatch()
    # No INS either: that is said first, and the doubt once there is one.
    assert await held(road) == {DOSSIER: NOT_QUALIFIED}
    assert await streams(road) == {TRACING, HEALTH}
    fold = await stream_fold(road)
    (row,) = fold[HEALTH].values()
    assert row["age"] is None


async def test_a_correction_that_contradicts_itself_is_taken_back_until_it_is_mended(
    road: Road,
) -> None:
    await road.put(message())
    await road.dispatch()
    assert await streams(road) == {DOSSIER, TRACING, HEALTH}
    await road.put(message(None, contradicting()))
    await road.dispatch()
    assert await held(road) == dict.fromkeys(Stream, Doubt.STATUS_CONTRADICTS)
    assert await streams(road) == set()
    for stream in Stream:
        last = (await road.events(stream))[-1]
        assert (last["kind"], last["reason"]) == ("withdrawn", "on_hold")
    await verified(road)
    await road.put(message(None, report(status=ResultStatus.CORRECTED)))
    await road.dispatch()
    assert await held(road) == {}
    assert await streams(road) == {DOSSIER, TRACING, HEALTH}


async def test_an_unknown_analysis_goes_to_the_dossier_as_text_and_nowhere_else(
    road: Road,
) -> None:
    unknown = Coded(code="99999-9", text="Analyse maison", system="LN")
    seen = observation(code=unknown, value_type="ST", value="Vu", coded=None)
    await road.put(message(None, report(code=unknown, observations=(seen,))))
    await road.dispatch()
    assert await held(road) == {}
    assert await streams(road) == {DOSSIER}
    (bundle,) = (await stream_fold(road))[DOSSIER].values()
    assert '"Vu"' in json.dumps(bundle)
    assert '"Analyse maison"' in json.dumps(bundle)


# ---------------------------------------------------------------- asked again


def text_message(word: str) -> bytes:
    """The sample with a result in a laboratory's own word."""
    code = "94500-6^SARS-CoV-2 ARN [Présence] Respiratoire ; PCR^LN"
    coded = f"|CWE|{code}||260373001^Détecté^SCT|||POS|"
    return sample_message().replace(coded.encode(), f"|ST|{code}||{word}||||".encode())


async def put_text(road: Road, word: str) -> int:
    raw = text_message(word)
    assert word.encode() in raw
    header = read_header(raw)
    assert isinstance(header, Header)
    mapped = judge(raw, header, LabProfile(), Realm.TEST).mapped
    assert mapped is not None
    (offset,) = await road.put(mapped, raws=[raw])
    await road.dispatch()
    return offset


async def map_word(road: Road, word: str, result: str) -> None:
    row = row_of("result", word, "", result, "", "")
    async with road.hub.pool.acquire() as connection:
        await codes.change_rows(connection, "LAB1", put=(row,), actor="op", reason="asked")


async def test_a_word_that_is_mapped_lets_what_waits_for_it_go_by_itself(road: Road) -> None:
    await put_text(road, "Vu faible")
    assert await held(road) == dict.fromkeys((TRACING, HEALTH), Doubt.RESULT_NOT_UNDERSTOOD)
    async with road.hub.pool.acquire() as connection:
        unmapped = await codes.list_unmapped(connection, road.hub.vault, 1)
    assert [value.text for value in unmapped.values] == ["Vu faible"]
    assert not await recheck(road.hub, page=10, after_seconds=0), "nothing has changed"
    await map_word(road, "Vu faible", "positive")
    assert not await recheck(road.hub, page=10, after_seconds=60), "doors may not know it yet"
    assert await recheck(road.hub, page=10, after_seconds=0)
    assert not await recheck(road.hub, page=10, after_seconds=0)
    await road.dispatch()
    assert await held(road) == {}
    assert await streams(road) == {DOSSIER, TRACING, HEALTH}
    account = await road.account()
    assert account.closes
    assert account.replays == 1


async def test_a_mapping_asks_page_by_page_and_keeps_what_it_does_not_answer(road: Road) -> None:
    await put_texts(road, "Vu faible", "Vu fort", "Illisible")
    before = {row["report_id"]: row["since"] for row in await road.rows("SELECT * FROM hold")}
    assert len(before) == 3
    await map_word(road, "Vu faible", "positive")
    passes = 0
    while await recheck(road.hub, page=1, after_seconds=0):
        passes += 1
    assert passes == 4
    await road.dispatch()
    rows = await road.rows("SELECT report_id, since FROM hold")
    assert len(rows) == 4, "two reports in two streams"
    assert all(before[row["report_id"]] == row["since"] for row in rows)


async def put_texts(road: Road, *words: str) -> None:
    """Put a report for each word, of one laboratory."""
    for number, word in enumerate(words):
        raw = text_message(word).replace(b"LAB-5567", b"LAB-%d" % number)
        header = read_header(raw)
        assert isinstance(header, Header)
        mapped = judge(raw, header, LabProfile(), Realm.TEST).mapped
        assert mapped is not None
        await road.put(mapped, raws=[raw])
    await road.dispatch()


async def test_what_was_asked_is_not_asked_again_in_every_round_that_fails(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put_texts(road, "Vu faible", "Vu fort", "Illisible")
    await map_word(road, "Vu faible", "positive")
    asked: list[int] = []

    async def fails_at_the_second(hub: Hub, *, partition: int, offset: int, **about: Any) -> UUID:
        async with hub.pool.acquire() as connection:
            open_ = await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'"
                " AND datname = current_database()"
            )
        assert open_ == 0, "nothing is locked while the log is appended to"
        if len(asked) == 1 and is_away:
            raise TransientError("log_away", "it is tried again")
        asked.append(offset)
        return await append_replay(hub, partition=partition, offset=offset, **about)

    is_away = True
    monkeypatch.setattr(rechecking, "append_replay", fails_at_the_second)
    for _ in range(3):
        with pytest.raises(TransientError):
            await recheck(road.hub, page=10, after_seconds=0)
    is_away = False
    while await recheck(road.hub, page=10, after_seconds=0):
        pass
    assert len(asked) == len(set(asked)) == 3
    await road.dispatch()
    assert (await road.account()).replays == 3


async def test_a_mapping_that_changes_meanwhile_begins_anew(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put_texts(road, "Vu faible", "Vu fort")
    await map_word(road, "Vu faible", "positive")
    words = ["Vu fort"]

    async def changes(hub: Hub, **about: Any) -> UUID:
        if words:
            await map_word(road, words.pop(), "positive")
        return await append_replay(hub, **about)

    monkeypatch.setattr(rechecking, "append_replay", changes)
    while await recheck(road.hub, page=1, after_seconds=0):
        pass
    await road.dispatch()
    assert await held(road) == {}


async def test_one_process_asks_at_a_time(road: Road) -> None:
    await put_text(road, "Vu faible")
    await map_word(road, "Vu faible", "positive")
    async with road.hub.pool.acquire() as other:
        assert await other.fetchval(queries.ALONE)
        assert not await recheck(road.hub, page=10, after_seconds=0)
        assert await other.fetchval(queries.ALONE_NO_MORE)
    assert await recheck(road.hub, page=10, after_seconds=0)


async def test_what_is_asked_twice_because_of_a_crash_is_answered_once(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put_text(road, "Vu faible")
    await map_word(road, "Vu faible", "positive")
    with monkeypatch.context() as broken:
        unkept = "SELECT 1 / ($1::integer - $1::integer), $2::timestamptz, $3::uuid"
        broken.setattr(queries, "MOVE", unkept)
        with pytest.raises(HubError):
            await recheck(road.hub, page=10, after_seconds=0)
    assert await recheck(road.hub, page=10, after_seconds=0), "the row is still there"
    await road.dispatch()
    account = await road.account()
    assert account.closes
    assert account.replays == 2
    kinds = [event["kind"] for event in await road.events(Stream.PUBLIC_HEALTH)]
    assert kinds == ["published"]
    assert await held(road) == {}


async def test_a_report_can_be_asked_again_by_name(road: Road) -> None:
    await put_text(road, "Vu faible")
    await map_word(road, "Vu faible", "negative")
    replayed = await retry(road.hub, await report_id(road), ASKER)
    await road.dispatch()
    assert await held(road) == {}
    (row,) = await road.rows("SELECT actor, action FROM audit WHERE action = 'replay'")
    assert row["actor"] == ASKER.actor
    assert replayed
    with pytest.raises(PermanentError) as caught:
        await retry(road.hub, uuid4(), ASKER)
    assert caught.value.reason == "no_such_report"


# ---------------------------------------------------------------- by a person's word


async def test_a_person_lets_one_stream_go_and_it_counts_for_what_was_seen(road: Road) -> None:
    await road.put(message(None, contradicting()))
    await road.dispatch()
    which = await report_id(road)
    done = await releasing(road).release(which, DOSSIER, ASKER)
    assert (done.reason, done.stream_events, done.still) == (Doubt.STATUS_CONTRADICTS, 1, "")
    assert await streams(road) == {DOSSIER}
    assert await held(road) == dict.fromkeys((TRACING, HEALTH), Doubt.STATUS_CONTRADICTS)
    await verified(road)
    (message_id,) = await road.rows("SELECT message_id FROM outcome")
    (found,) = await trace(road.hub, Wanted(ids=(str(message_id["message_id"]),)))
    (released,) = [each for each in found.stations if each["station"] == "released"]
    assert (released["actor"], released["why"]) == (ASKER.actor, ASKER.reason)
    (audit,) = await road.rows("SELECT actor, reason FROM audit WHERE action = 'hold_release'")
    assert audit["actor"] == ASKER.actor
    assert str(which) in audit["reason"]
    assert ASKER.reason in audit["reason"]
    # Emitted again for whatever reason, it stays released.
    (person,) = await road.rows("SELECT person_id FROM report")
    await road.dispatcher.stewards.reemit(person["person_id"], ASKER)
    assert await streams(road) == {DOSSIER}
    # What says something else waits again, and is taken back meanwhile.
    await road.put(message(None, contradicting(notes=("Autre chose",))))
    await road.dispatch()
    assert await held(road) == dict.fromkeys(Stream, Doubt.STATUS_CONTRADICTS)
    assert await streams(road) == set()
    async with road.hub.pool.acquire() as connection:
        shown = await show_report(connection, which)
    assert [word.counts for word in shown.releases] == [False]
    assert [why.may_be_released for why in shown.holds] == [True] * 3


async def test_two_doubts_are_two_words(road: Road) -> None:
    born = dominique(birth_date="2027-03-28")
    await road.put(message(born, contradicting()))
    await road.dispatch()
    which = await report_id(road)
    first = await releasing(road).release(which, DOSSIER, ASKER)
    if first.reason == NOT_QUALIFIED:
        pytest.fail("the sample has an INS")
    assert first.reason == Doubt.BIRTH_DATE_AFTER_SAMPLING
    assert first.still == Doubt.STATUS_CONTRADICTS
    second = await releasing(road).release(which, DOSSIER, ASKER)
    assert (second.still, second.stream_events) == ("", 1)


@pytest.mark.parametrize(
    ("stream", "asker", "reason"),
    [
        (DOSSIER, ASKER, "not_releasable"),
        (HEALTH, ASKER, "not_on_hold"),
        ("gossip", ASKER, "no_such_stream"),
        (DOSSIER, Asker(actor="somebody"), "bad_reason"),
    ],
)
async def test_what_nobody_may_release_says_what_to_do(
    road: Road, stream: str, asker: Asker, reason: str
) -> None:
    await road.put(message(dominique(ins=())))
    await road.dispatch()
    with pytest.raises(PermanentError) as caught:
        await releasing(road).release(await report_id(road), stream, asker)
    assert caught.value.reason == reason
    assert caught.value.remedy
    assert await road.rows("SELECT 1 FROM hold_release") == []
    with pytest.raises(PermanentError):
        await releasing(road).release(uuid4(), DOSSIER, ASKER)


async def test_a_release_without_an_answer_tells_nobody_and_waits_no_more(road: Road) -> None:
    await road.put(message(None, unanswered()))
    await road.dispatch()
    done = await releasing(road).release(await report_id(road), HEALTH, ASKER)
    assert (done.stream_events, done.still) == (0, "")
    assert await held(road) == {TRACING: Doubt.RESULT_NOT_UNDERSTOOD}


async def test_many_are_let_go_by_a_filter_once_they_were_listed(road: Road) -> None:
    for number in range(3):
        await road.put(message(None, contradicting(filler_order_number=f"F-{number}")))
    await road.put(message(None, contradicting(filler_order_number="F-9")), partition=1)
    await road.dispatch()
    wish = Wish(stream=DOSSIER, reason=Doubt.STATUS_CONTRADICTS, laboratory="LAB1", limit=2)
    dry = await releasing(road).release_many(wish, ASKER, dry_run=True)
    assert (dry.found, dry.released, len(dry.reports)) == (2, 0, 2)
    assert len((await stream_fold(road))[DOSSIER]) == 0
    done = await releasing(road).release_many(wish, ASKER, dry_run=False)
    assert (done.released, done.stream_events, done.failed) == (2, 2, {})
    again = await releasing(road).release_many(wish, ASKER, dry_run=False)
    assert (again.found, again.released) == (1, 1)
    async with road.hub.pool.acquire() as connection:
        left = await list_holds(connection, Wish(stream=DOSSIER), road.hub.clock.now())
    assert [each.laboratory for each in left] == ["LAB2"]
    for bad in (Wish(stream=DOSSIER), Wish(stream=DOSSIER, reason=NOT_QUALIFIED)):
        with pytest.raises(PermanentError):
            await releasing(road).release_many(bad, ASKER, dry_run=True)


async def test_what_cannot_be_let_go_is_passed_by(road: Road) -> None:
    """Two that can be read no more wait the longest; what comes behind is let go all the same."""
    for number in range(4):
        await road.put(message(None, contradicting(filler_order_number=f"F-{number}")))
        await road.dispatch()
    places = await road.rows('SELECT partition, "offset" FROM outcome ORDER BY "offset" LIMIT 2')
    await road.rows(
        'DELETE FROM intake WHERE "offset" = ANY ($1::bigint[]) RETURNING 1',
        [row["offset"] for row in places],
    )
    wish = Wish(stream=DOSSIER, reason=Doubt.STATUS_CONTRADICTS, limit=1)
    for _ in range(2):
        done = await releasing(road).release_many(wish, ASKER, dry_run=False)
        assert (done.found, done.released, done.still_waiting, done.behind) == (3, 1, 2, None)
    assert len((await stream_fold(road))[DOSSIER]) == 2
    # A request is bounded, and says where to go on.
    one = await releasing(road).release_many(wish, ASKER, dry_run=False, tries=1)
    assert (one.found, one.still_waiting) == (1, 1) and one.behind is not None
    more = msgspec.structs.replace(wish, behind=one.behind)
    other = await releasing(road).release_many(more, ASKER, dry_run=False, tries=1)
    assert other.found == 1 and set(one.reports).isdisjoint(other.reports)
    assert other.behind is not None
    last = msgspec.structs.replace(wish, behind=other.behind)
    none = await releasing(road).release_many(last, ASKER, dry_run=False, tries=1)
    assert (none.found, none.behind) == (0, None)


async def test_what_can_be_read_no_more_is_said_and_waits_on(road: Road) -> None:
    await road.put(message(None, contradicting()))
    await road.dispatch()
    await road.rows("DELETE FROM intake RETURNING 1")  # its retention has passed
    done = await releasing(road).release(await report_id(road), DOSSIER, ASKER)
    assert done.unreadable
    assert (done.stream_events, done.still) == (0, Doubt.STATUS_CONTRADICTS)
    with pytest.raises(PermanentError) as caught:
        await retry(road.hub, await report_id(road), ASKER)
    assert caught.value.reason == "original_gone"


async def test_who_opposes_the_dossier_waits_for_nothing_there(road: Road) -> None:
    await road.put(message(dominique(ins=())))
    await road.dispatch()
    (person,) = await road.rows("SELECT person_id FROM report")
    await road.dispatcher.stewards.oppose(person["person_id"], ASKER)
    assert await held(road) == {}
    await road.dispatcher.stewards.allow(person["person_id"], ASKER)
    assert await held(road) == {DOSSIER: NOT_QUALIFIED}


# ---------------------------------------------------------------- looking


async def test_the_list_is_by_age_and_the_figures_say_the_same(road: Road) -> None:
    waits = message(dominique(ins=()), report(filler_order_number="F-0"))
    await road.put(waits, partition=2)
    await road.dispatch()
    await road.put(message(None, contradicting()), partition=2)
    await road.dispatch()
    now = road.hub.clock.now()
    async with road.hub.pool.acquire() as connection:
        found = await list_holds(connection, Wish(), now)
        assert [each.since for each in found] == sorted(each.since for each in found)
        assert len(found) == len(await road.rows("SELECT 1 FROM hold"))
        old = await list_holds(connection, Wish(older_than=timedelta(hours=1)), now)
        assert old == []
        for bad in (Wish(stream="gossip"), Wish(reason="mood")):
            with pytest.raises(PermanentError):
                await list_holds(connection, bad, now)
        await connection.execute("UPDATE hold SET since = since - interval '2 hours'")
        await take_figures(connection, road.hub.clock, most=1)
    set_limits(road.hub.settings)
    count = METRICS.holds.labels(DOSSIER, NOT_QUALIFIED)
    assert count._value.get() == 1
    assert METRICS.hold_age.labels(DOSSIER, NOT_QUALIFIED)._value.get() >= 7_200
    assert METRICS.holds.labels(HEALTH, NOT_QUALIFIED)._value.get() == 0
    assert METRICS.hold_age.labels(HEALTH, NOT_QUALIFIED)._value.get() == 0
    assert METRICS.hold_limit.labels(Doubt.STATUS_CONTRADICTS)._value.get() == 86_400
