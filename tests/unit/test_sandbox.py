"""The sandbox's memory and its door: bounded, forgetful, without values, answering as the hub."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from ingest.ack import build_acks
from ingest.catalogue import finding
from ingest.header import Header, read_header
from ingest.judge import LabProfile, judge
from ops.sandbox.door import SandboxDoor, session_of
from ops.sandbox.page import second_notes, session_page, start_page
from ops.sandbox.second import SecondOpinions
from ops.sandbox.sessions import SandboxLimits, Sessions
from ops.second_opinion.asking import NoOpinion
from ops.simulate.sample import sample_message
from schemas.decision import Realm
from schemas.errors import TransientError
from schemas.finding import Finding
from schemas.place import Place

GOOD = sample_message()
START = datetime(2026, 3, 6, 9, tzinfo=UTC)


class Hands:
    """A clock whose hands a test moves."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> Hands:
    return Hands()


def sandbox(clock: Hands, **limits: int) -> tuple[Sessions, SandboxDoor]:
    sessions = Sessions(clock, SandboxLimits(**limits))
    return sessions, SandboxDoor(sessions, clock, LabProfile(), max_frame_bytes=1_000_000)


def to(code: str, field: int = 6) -> bytes:
    fields = GOOD.split(b"|")
    fields[field - 1] = code.encode()
    return b"|".join(fields)


def parts(door: SandboxDoor, raw: bytes) -> tuple[bytes, ...]:
    return door.receive(raw).answer().parts


@pytest.mark.parametrize(
    "raw",
    [
        GOOD,
        GOOD.replace(b"|19790328|", b"|28/03/1979|"),
        GOOD.replace(b"ORU^R01^ORU_R01", b"ZZZ^Z99"),
        GOOD.replace(b"|L0001-20260306-0001|", b"||"),
        GOOD.replace(b"|2.5.1|", b"|2.3|"),
        GOOD.replace(b"|||||FRA|", b"|||AL|AL|FRA|"),
        GOOD.replace(b"|||||FRA|", b"|||NE|NE|FRA|"),
    ],
)
def test_the_answer_is_the_hubs_in_every_byte(clock: Hands, raw: bytes) -> None:
    header = read_header(raw)
    assert isinstance(header, Header)
    judged = judge(raw, header, LabProfile(), Realm.TEST)
    expected = build_acks(header, judged.ruling, judged.findings, at=START, wants_no_answer=False)
    assert parts(sandbox(clock)[1], raw) == expected != ()


def test_what_cannot_be_read_is_answered_or_not_as_by_the_hub(clock: Hands) -> None:
    sessions, door = sandbox(clock)
    (answer,) = parts(door, b"not HL7")
    assert b"MSA|AR|" in answer
    receipt = door.turn_away("cut", GOOD[:200])
    assert receipt is not None and b"frame_cut" in receipt.answer().parts[0]
    assert door.turn_away("garbage", b"GET / HT") is None
    assert [each.entries["en"].verdict for each in sessions.last(sessions.own)] == ["", "AR", "AR"]


@pytest.mark.parametrize("field", [6, 8])
def test_a_message_belongs_to_the_session_that_it_names(clock: Hands, field: int) -> None:
    sessions, door = sandbox(clock)
    mine, other = sessions.open(), sessions.open()
    parts(door, to(mine.code, field))
    parts(door, to(mine.code.lower() + "^1.2.3^ISO", field))
    assert [len(sessions.last(each)) for each in (mine, other, sessions.own)] == [2, 0, 0]


def test_what_names_no_session_is_shown_to_whoever_started_the_sandbox(clock: Hands) -> None:
    sessions, door = sandbox(clock)
    sessions.open()
    for raw in (GOOD, to("A" * 24), b"not HL7", b""):
        parts(door, raw)
    assert len(sessions.last(sessions.own)) == 4
    assert session_of(b"MSH", sessions) is sessions.own


def test_codes_cannot_be_guessed_and_fit_their_fields(clock: Hands) -> None:
    sessions, _ = sandbox(clock, sessions=200)
    codes = {sessions.open().code for _ in range(199)} | {sessions.own.code}
    assert len(codes) == 200
    assert {len(code) for code in codes} == {24}
    assert all(code.isalnum() and code.isascii() for code in codes)


def test_nothing_is_kept_beyond_a_day(clock: Hands) -> None:
    sessions, door = sandbox(clock)
    mine = sessions.open()
    parts(door, to(mine.code))
    parts(door, GOOD)
    clock.at += timedelta(hours=23, minutes=59)
    assert len(sessions.last(mine)) == 1
    clock.at += timedelta(minutes=2)
    assert sessions.last(mine) == [] == sessions.last(sessions.own)
    assert sessions.get(mine.code) is None
    sessions.sweep()
    assert not mine.exchanges and not sessions.own.exchanges
    assert sessions.get(sessions.own.code) is sessions.own


def test_a_session_that_is_used_goes_on_but_its_old_messages_do_not(clock: Hands) -> None:
    sessions, door = sandbox(clock)
    mine = sessions.open()
    parts(door, to(mine.code))
    clock.at += timedelta(hours=20)
    parts(door, to(mine.code))
    clock.at += timedelta(hours=20)
    assert sessions.get(mine.code) is mine
    assert [each.number for each in sessions.last(mine)] == [2]


def test_memory_is_bounded_by_session_and_in_all(clock: Hands) -> None:
    sessions, door = sandbox(clock, messages_per_session=3, sessions=3)
    for _ in range(5):
        parts(door, GOOD)
    assert [each.number for each in sessions.last(sessions.own)] == [5, 4, 3]
    sessions.open(), sessions.open()
    with pytest.raises(TransientError, match="sandbox_full"):
        sessions.open()

    few, door = sandbox(clock, bytes_in_all=4_000)
    mine = few.open()
    for _ in range(20):
        clock.at += timedelta(seconds=1)
        parts(door, GOOD)
        parts(door, to(mine.code))
    kept = [*few.last(few.own), *few.last(mine)]
    assert 0 < sum(each.size_bytes for each in kept) <= 4_000
    few.close(mine)
    few.close(few.own)
    assert few._kept_bytes == 0


def test_no_value_of_a_message_is_kept_or_shown(clock: Hands) -> None:
    sessions, door = sandbox(clock)
    canary = "QXZWV7CANARY"
    raw = GOOD.replace(b"PAT-TROIS", canary.encode()).replace(
        b"|19790328|", b"|" + canary.encode() + b"|"
    )
    parts(door, raw)
    (exchange,) = sessions.last(sessions.own)
    assert exchange.entries["en"].warnings
    page = session_page("fr", "127.0.0.1:2576", sessions.own, [exchange])
    assert canary not in page + exchange.answer + repr(exchange) + repr(exchange.entries)
    assert "birth_date_unreadable" in page


def test_everything_on_the_page_is_escaped(clock: Hands) -> None:
    sessions, door = sandbox(clock)
    parts(door, GOOD.replace(b"L0001-20260306-0001", b"<script>alert(1)</script>"))
    for language in ("en", "fr"):
        page = session_page(language, "<b>", sessions.own, sessions.last(sessions.own))
        assert "<script" not in page and "<b>" not in page
        assert "&lt;script&gt;" in page
        assert "<b>" not in start_page(language, "<b>")


class Slow:
    """A second opinion that the test gives when it likes."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[tuple[Finding, ...] | NoOpinion] = asyncio.Future()

    async def opinion(self, raw: bytes) -> tuple[Finding, ...] | NoOpinion:
        assert raw == sample_message()
        return await self.answer


@pytest.mark.parametrize(
    ("said", "state", "codes"),
    [
        ((finding("hl7_required_missing", Place("OBR", 1, 4)),), "given", ["hl7_required_missing"]),
        ((), "given", []),
        (NoOpinion.TOO_SLOW, "no opinion in time", []),
    ],
)
async def test_a_second_opinion_comes_after_the_answer(
    clock: Hands, said: tuple[Finding, ...] | NoOpinion, state: str, codes: list[str]
) -> None:
    sessions, slow = Sessions(clock, SandboxLimits()), Slow()
    door = SandboxDoor(
        sessions, clock, LabProfile(), max_frame_bytes=1_000_000, second=SecondOpinions(slow)
    )
    assert door.receive(sample_message()).done()  # answered, whatever the other opinion takes
    (exchange,) = sessions.last(sessions.own)
    assert exchange.opinion.state == "asked"
    slow.answer.set_result(said)
    while exchange.opinion.state == "asked":
        await asyncio.sleep(0)
    assert exchange.opinion.state == state
    assert [code for code, _, _ in second_notes(exchange, "fr")] == codes
    page = session_page("en", "127.0.0.1:1", sessions.own, [exchange])
    assert state in page
    assert all(code in page for code in codes)
