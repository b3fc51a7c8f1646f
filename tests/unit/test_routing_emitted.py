from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing import emitted, outbox
from routing.case import HIDDEN, Projection
from routing.emitted import Due, EmittedRow, Key, PendingEvent, Wanted, diff, event_id_of
from routing.router import Router, load_own_rules, reason_of
from schemas.decision import Realm
from schemas.errors import FatalError
from schemas.events import EventKind
from schemas.report import ResultStatus
from schemas.topics import Stream
from tests.unit.test_routing_cases import CANARIES, NOT_DETECTED, case, observation, report

SECRET = bytes(range(32))
REPORT = UUID(int=1)
MESSAGE = UUID(int=2)
AT = datetime(2026, 3, 6, 10, tzinfo=UTC)


def wish(
    body: bytes | None,
    addressee: str = "a",
    *,
    stream: Stream = Stream.DOSSIER,
    report_id: UUID = REPORT,
    reason: str = "new_version",
    partition: int = 0,
) -> Wanted:
    return Wanted(
        report_id=report_id,
        stream=stream,
        partition=partition,
        person_version=4,
        message_id=MESSAGE,
        decision=Due(due=body is not None, rule="r", rule_version="1"),
        projection=None if body is None else Projection(body=body, addressee=addressee),
        reason=reason,
    )


class Held:
    """What the streams hold, kept up to date by every change."""

    def __init__(self) -> None:
        self.rows: dict[Key, EmittedRow] = {}

    def apply(self, *wishes: Wanted) -> list[PendingEvent]:
        changes = diff(self.rows, wishes, Realm.TEST, SECRET)
        self.rows |= {(row.report_id, row.stream): row for row in changes.rows}
        return changes.events


def said(events: Sequence[PendingEvent]) -> list[tuple[str, str, int]]:
    return [(event.kind.value, event.reason, event.event_version) for event in events]


def test_the_life_of_a_report_in_a_stream() -> None:
    held = Held()
    assert said(held.apply(wish(b"1"))) == [("published", "new", 1)]
    assert held.apply(wish(b"1")) == []
    assert said(held.apply(wish(b"2"))) == [("revised", "new_version", 2)]
    assert said(held.apply(wish(b"2", "b"))) == [
        ("withdrawn", "moved", 3),
        ("published", "moved", 4),
    ]
    assert said(held.apply(wish(None))) == [("withdrawn", "corrected", 5)]
    assert held.apply(wish(None)) == []
    assert said(held.apply(wish(b"2", "b"))) == [("published", "new", 6)]


def test_what_is_said_of_the_making_alone_is_no_revision() -> None:
    def told(body: bytes, compared: bytes) -> Wanted:
        projection = Projection(body=body, addressee="a", compared=compared)
        return msgspec.structs.replace(wish(body), projection=projection)

    held = Held()
    (first,) = held.apply(told(b"1 by rules 1", b"1"))
    assert first.body == b"1 by rules 1"
    assert held.apply(told(b"1 by rules 2", b"1")) == []
    assert said(held.apply(told(b"1 by rules 2", b"2"))) == [("revised", "new_version", 2)]


def test_never_due_is_nothing() -> None:
    held = Held()
    assert held.apply(wish(None)) == []
    assert held.rows == {}


def test_reasons_are_the_askers_where_they_fit() -> None:
    held = Held()
    held.apply(wish(b"1"))
    assert said(held.apply(wish(b"2", reason="replayed"))) == [("revised", "replayed", 2)]
    assert said(held.apply(wish(b"3", reason="?"))) == [("revised", "new_version", 3)]
    assert said(held.apply(wish(None, reason="cancelled"))) == [("withdrawn", "cancelled", 4)]
    held.apply(wish(b"1"))
    assert said(held.apply(wish(None, reason="replayed"))) == [("withdrawn", "no_longer_due", 6)]


def test_another_patient_is_told_as_a_withdrawal_and_a_new_result() -> None:
    held = Held()
    held.apply(wish(b"of one"))
    moved = msgspec.structs.replace(wish(b"of another"), moves=True)
    assert said(held.apply(moved)) == [("withdrawn", "moved", 2), ("published", "moved", 3)]
    assert held.apply(wish(b"of another")) == []


def test_versions_within_one_batch_build_on_each_other() -> None:
    held = Held()
    events = held.apply(wish(b"1"), wish(b"2"), wish(b"2"), wish(None))
    assert said(events) == [
        ("published", "new", 1),
        ("revised", "new_version", 2),
        ("withdrawn", "corrected", 3),
    ]
    assert [row.event_version for row in held.rows.values()] == [3]


def test_a_withdrawn_event_has_no_body_and_ids_are_of_their_version() -> None:
    events = Held().apply(wish(b"1"), wish(None))
    assert [event.body for event in events] == [b"1", None]
    assert [event.event_id for event in events] == [
        event_id_of(Stream.DOSSIER, REPORT, version) for version in (1, 2)
    ]
    assert event_id_of(Stream.PUBLIC_HEALTH, REPORT, 1) != event_id_of(Stream.DOSSIER, REPORT, 1)


def test_digests_are_keyed() -> None:
    first = diff({}, [wish(b"1")], Realm.TEST, SECRET).rows[0].body_digest
    assert diff({}, [wish(b"1")], Realm.TEST, bytes(32)).rows[0].body_digest != first


WISHES = st.builds(
    wish,
    st.sampled_from([None, b"1", b"2"]),
    st.sampled_from("ab"),
    stream=st.sampled_from(Stream),
    report_id=st.sampled_from([UUID(int=1), UUID(int=2)]),
)


@given(st.lists(WISHES, max_size=12))
def test_laws_of_diff(wishes: list[Wanted]) -> None:
    stepwise, at_once = Held(), Held()
    events = [event for each in wishes for event in stepwise.apply(each)]
    assert at_once.apply(*wishes) == events
    assert at_once.rows == stepwise.rows
    last = {(each.report_id, each.stream): each for each in wishes}
    assert stepwise.apply(*last.values()) == [], "the same wish twice is nothing"
    assert len({event.event_id for event in events}) == len(events)
    bodies: dict[Key, bytes | None] = {}
    versions: dict[Key, int] = {}
    for event in events:
        key = (event.report_id, event.stream)
        assert event.event_version == versions.get(key, 0) + 1
        versions[key] = event.event_version
        assert (event.body is None) == (event.kind is EventKind.WITHDRAWN)
        assert (event.kind is EventKind.PUBLISHED) == (
            bodies.get(key) is None and event.body is not None
        )
        bodies[key] = event.body
    for key, each in last.items():
        wanted = each.projection.body if each.projection else None
        assert bodies.get(key) == wanted, "the last event says what was wished last"


def test_a_correction_to_negative_withdraws_the_index_case() -> None:
    router = Router(load_own_rules(), SECRET, Realm.TEST)
    held = Held()

    def emit(*of: Any, status: str) -> dict[Stream, tuple[str, str, int]]:
        given_case = case(report(*of, status=ResultStatus(status)))
        decision = router.route(given_case)
        wishes = [
            Wanted(
                report_id=REPORT,
                stream=stream,
                partition=0,
                person_version=1,
                message_id=MESSAGE,
                decision=Due(
                    due=stream in decision.due,
                    rule=decision.rules[stream],
                    rule_version=decision.rule_version,
                ),
                projection=router.project(stream, given_case, decision)
                if stream in decision.due
                else None,
                reason=reason_of(given_case),
            )
            for stream in Stream
        ]
        return {event.stream: said([event])[0] for event in held.apply(*wishes)}

    assert {each[0] for each in emit(observation(), status="F").values()} == {"published"}
    assert emit(observation(), status="F") == {}, "a replay says nothing twice"
    assert emit(observation(coded=NOT_DETECTED), status="C") == {
        Stream.DOSSIER: ("revised", "new_version", 2),
        Stream.CONTACT_TRACING: ("withdrawn", "corrected", 2),
        Stream.PUBLIC_HEALTH: ("revised", "new_version", 2),
    }
    assert emit(observation(coded=NOT_DETECTED), status="W") == {
        Stream.DOSSIER: ("revised", "cancelled", 3),
        Stream.PUBLIC_HEALTH: ("withdrawn", "cancelled", 3),
    }


def test_nothing_here_shows_a_value_when_printed() -> None:
    wished = wish(b"ZZCANARI", "0639980077")
    changes = diff({}, [wished], Realm.TEST, SECRET)
    assert not any(canary in repr((wished, changes)) for canary in CANARIES)


# ------------------------------------------------------------------ writing


class Recorder:
    """A connection that answers the heads it is given, and remembers what it was told."""

    def __init__(self, heads: dict[tuple[str, int], int] | None = None) -> None:
        self.heads = heads or {}
        self.told: list[tuple[str, tuple[Any, ...]]] = []

    async def fetch(self, query: str, *args: Any, timeout: float | None = None) -> list[Any]:
        self.told.append((query, args))
        return [
            {"stream": stream, "partition": partition, "last_seq": last}
            for (stream, partition), last in sorted(self.heads.items())
            if (stream, partition) in zip(*args, strict=True)
        ]

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:
        self.told.append((query, args))
        return ""

    async def fetchrow(self, query: str, *args: Any, timeout: float | None = None) -> Any:
        raise NotImplementedError

    async def fetchval(self, query: str, *args: Any, timeout: float | None = None) -> Any:
        raise NotImplementedError

    def transaction(self) -> Any:
        raise NotImplementedError


def seal(body: bytes, associated: bytes) -> bytes:
    return associated + body[::-1]


async def test_seqs_are_gapless_in_the_order_given() -> None:
    conn = Recorder({("dossier", 0): 5, ("dossier", 3): 0, ("public-health", 0): 9})
    events = [
        *Held().apply(wish(b"a"), wish(b"b"), wish(None)),
        *Held().apply(wish(b"c", partition=3, report_id=UUID(int=9))),
        *Held().apply(wish(b"d", stream=Stream.PUBLIC_HEALTH)),
    ]
    assert await outbox.write(conn, events, seal, AT) == {"dossier": 4, "public-health": 1}
    (heads, asked), (insert, rows), (advance, moved) = conn.told
    assert (heads, insert, advance) == (outbox.HEADS, outbox.INSERT, outbox.ADVANCE)
    assert asked == (["dossier", "dossier", "public-health"], [0, 3, 0])
    assert rows[2] == [6, 7, 8, 1, 10]
    assert rows[13] == [AT] * 5
    assert rows[14][0] == events[0].event_id.bytes + b"a"
    assert rows[14][2] is None
    assert moved == (["dossier", "dossier", "public-health"], [0, 3, 0], [8, 1, 10])


async def test_what_is_declared_anonymously_has_no_header_of_its_own() -> None:
    """Published, and withdrawn by what is held alone."""
    conn = Recorder({("public-health", 2): 0})
    due = msgspec.structs.replace(
        wish(b"d", stream=Stream.PUBLIC_HEALTH),
        projection=Projection(body=b"d", addressee="", pseudonym_periods=HIDDEN),
        hidden_partition=2,
    )
    gone = msgspec.structs.replace(
        wish(None, stream=Stream.PUBLIC_HEALTH, reason="cancelled"), hidden_partition=2
    )
    events = Held().apply(due, gone)
    assert said(events) == [("published", "new", 1), ("withdrawn", "cancelled", 2)]
    assert {(e.person_version, e.partition) for e in events} == {(0, 2)}
    await outbox.write(conn, events, seal, AT)
    assert conn.told[1][1][13] == [AT.replace(hour=0)] * 2


def test_a_row_whose_pseudonym_nobody_can_make_is_left_as_it_is() -> None:
    held = Held()
    held.apply(wish(b"told", stream=Stream.PUBLIC_HEALTH))
    blank = msgspec.structs.replace(
        wish(b"blank", stream=Stream.PUBLIC_HEALTH),
        projection=Projection(body=b"blank", addressee="a", lacks_pseudonym=True),
    )
    assert held.apply(msgspec.structs.replace(blank, is_version=False, reason="replayed")) == []
    assert said(held.apply(blank)) == [("revised", "new_version", 2)]


async def test_a_missing_head_is_fatal_and_nothing_is_written() -> None:
    conn = Recorder()
    with pytest.raises(FatalError):
        await outbox.write(conn, Held().apply(wish(b"a")), seal, AT)
    assert [query for query, _ in conn.told] == [outbox.HEADS]


async def test_nothing_to_write_asks_nothing() -> None:
    conn = Recorder()
    assert await outbox.write(conn, [], seal, AT) == {}
    await emitted.store(conn, [])
    await emitted.write_holds(conn, [], [], AT)
    assert await emitted.load(conn, []) == {}
    assert conn.told == []


async def test_a_stream_put_on_hold_again_is_not_released() -> None:
    conn = Recorder()
    key = (REPORT, Stream.DOSSIER)
    await emitted.write_holds(conn, [(*key, "why")], [key, (REPORT, Stream.PUBLIC_HEALTH)], AT)
    assert [query for query, _ in conn.told] == [emitted.RELEASE, emitted.HOLD]
    assert conn.told[0][1] == ([REPORT], ["public-health"])
    assert conn.told[1][1] == ([REPORT], ["dossier"], ["why"], AT)
