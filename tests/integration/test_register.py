"""The register on a real PostgreSQL: changes whole and audited, counts exact and bounded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ingest.codes import CodeKind, CodeTable, LocalCode
from ingest.header import Header, read_header
from ingest.judge import judge
from ingest.labs import LabRegister, PostgresLabStore, profile_of
from ingest.software import software_of
from ops.register import codes, labs, tally
from ops.register.code_rows import row_of
from ops.register.conformance import ConformanceReport, report_conformance
from ops.runtime.vault import SealClass
from ops.simulate.sample import sample_message
from schemas.decision import Realm
from schemas.envelope import AcceptedMessage, IntakeRecord, RecordKind, Software
from schemas.errors import PermanentError
from schemas.finding import Finding, Level
from schemas.place import Place
from schemas.report import Coded, MappedMessage
from schemas.topics import Stream
from tests.support.hub import Road, scratch_hub
from tests.support.people import message, observation, report
from tests.support.postgres import Database

CANARY = "ZZCANARY"
WARNING = Finding("time_unreadable", Level.WARNING, Place("OBR", 1, 7))
INFO = Finding("trailing_blanks", Level.INFO)
ERROR = Finding("pid_missing", Level.ERROR, Place("PID", 1))
KALIUM = Software("KALIUM", "Éditeur D", "Kalium", "7.2")


@pytest.fixture
async def road(database: Database, tmp_path: Path) -> AsyncIterator[Road]:
    async with scratch_hub(database, tmp_path) as hub:
        yield Road(hub)


def text_result(value: str) -> MappedMessage:
    seen = observation(value_type="ST", value=value, coded=None)
    return message(None, report(observations=(seen,)))


def opened(road: Road, record: IntakeRecord) -> AcceptedMessage:
    return AcceptedMessage.from_bytes(road.hub.vault.open(record.payload, record.message_id.bytes))


def record(
    road: Road,
    content: MappedMessage | Finding,
    *findings: Finding,
    software: Software = KALIUM,
    raw: bytes | None = None,
    refused: bool = False,
    partition: int = 0,
    **changes: Any,
) -> IntakeRecord:
    made = road.record(content, partition=partition, raw=raw)
    held = msgspec.structs.replace(
        opened(road, made),
        findings=findings,
        software=software,
        **({"mapped": None, "unmappable": None, "answer": "AE"} if refused else {}),
        **changes,
    )
    payload = road.hub.vault.seal(SealClass.INTAKE, held.to_bytes(), made.message_id.bytes)
    kind = RecordKind.REFUSED if refused else RecordKind.MESSAGE
    return msgspec.structs.replace(made, payload=payload, kind=kind)


def numbered(number: int) -> MappedMessage:
    made = message(None, report(filler_order_number=f"F-{number}"))
    return msgspec.structs.replace(made, control_id=f"C-{number}0")


async def conformance(road: Road, **asked: Any) -> ConformanceReport:
    given = {"registry_id": None, "vendor": "", "since": None, "today": road.hub.clock.now().date()}
    async with road.hub.pool.acquire() as connection:
        return await report_conformance(connection, **{**given, **asked})


async def change(road: Road, *put: LocalCode, **more: Any) -> codes.Change:
    async with road.hub.pool.acquire() as connection:
        return await codes.change_rows(
            connection, "LAB1", put=put, **{"actor": "tester", "reason": "", **more}
        )


async def unmapped(road: Road) -> codes.UnmappedList:
    async with road.hub.pool.acquire() as connection:
        return await codes.list_unmapped(connection, road.hub.vault, 1)


POSITIF = row_of("result", "Vu", "", "positive", "", "")

# ---------------------------------------------------------------- codes


async def test_a_change_of_the_table_is_a_new_version_and_audited_once(road: Road) -> None:
    assert (await change(road, POSITIF, dry_run=True)).profile_version == 1
    first = await change(road, POSITIF, reason="asked by the vendor")
    assert (first.added, first.profile_version, first.written) == (1, 2, True)
    same = await change(road, row_of("result", "VU ", "", "positive", "", ""))
    assert (same.changed, same.profile_version) == (1, 3)
    nothing = await change(road, row_of("result", "VU ", "", "positive", "", ""))
    assert (nothing.unchanged, nothing.profile_version, nothing.written) == (1, 3, False)
    gone = await change(road, replace=True)
    assert (gone.removed, gone.profile_version) == (1, 4)
    chain = await road.rows("SELECT actor, action, subject, reason FROM audit ORDER BY audit_id")
    assert [(r["actor"], r["action"], r["subject"]) for r in chain] == [
        ("tester", "lab_codes", "laboratory LAB1")
    ] * 3
    assert "profile version 2: asked by the vendor" in chain[0]["reason"]


async def test_what_is_wrong_with_a_change_leaves_all_as_it_was(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PermanentError, match="did you mean LAB1"):
        async with road.hub.pool.acquire() as connection:
            await codes.change_rows(connection, "LABB1", put=[POSITIF], actor="x", reason="")
    monkeypatch.setattr(codes, "MAX_ROWS", 1)
    other = row_of("result", "Pas vu", "", "negative", "", "")
    with pytest.raises(PermanentError, match="table_too_large"):
        await change(road, POSITIF, other)
    with pytest.raises(PermanentError, match="bad_actor"):
        await change(road, POSITIF, actor=" ")
    assert await road.rows("SELECT 1 FROM lab_code") == []
    assert await road.rows("SELECT 1 FROM audit") == []


async def test_a_door_gets_table_version_and_state_together(road: Road) -> None:
    register = LabRegister(PostgresLabStore(road.hub.pool), register_unknown=False)
    await register.refresh()
    await change(road, POSITIF)
    async with road.hub.pool.acquire() as connection:
        before, after = await labs.set_state(connection, "lab2", "live", actor="t", reason="")
    assert (before, after) == ("onboarding", "live")
    for _ in range(2):  # the second reading finds every table held already
        await register.refresh()
        one, two = register.get("LAB1"), register.get("LAB2")
        assert one is not None
        assert two is not None
        assert (one.profile_version, one.codes) == (2, CodeTable([POSITIF]))
        assert (two.state, two.profile_version, len(two.codes)) == ("live", 1, 0)


async def test_a_state_is_audited_and_only_when_it_changes(road: Road) -> None:
    async with road.hub.pool.acquire() as connection:
        for _ in range(2):
            await labs.set_state(connection, "LAB1", "suspended", actor="t", reason="unpaid")
        with pytest.raises(PermanentError, match="no_such_state"):
            await labs.set_state(connection, "LAB1", "gone", actor="t", reason="")
        with pytest.raises(PermanentError, match="no_such_laboratory"):
            await labs.set_state(connection, "NOBODY", "live", actor="t", reason="")
    (entry,) = await road.rows("SELECT action, reason FROM audit")
    assert tuple(entry.values()) == ("lab_state", "onboarding -> suspended: unpaid")


def local_sample() -> bytes:
    return sample_message().replace("|260373001^Détecté^SCT|||POS|".encode(), b"|ZP9^Vu^L||||")


async def test_a_replay_maps_again_with_the_table_of_today(road: Road) -> None:
    raw = local_sample()
    header = read_header(raw)
    assert isinstance(header, Header)
    lab = await PostgresLabStore(road.hub.pool).one(1)
    assert lab is not None
    mapped = judge(raw, header, profile_of(lab), Realm.TEST).mapped
    assert mapped is not None
    (offset,) = await road.put(mapped, raws=[raw])
    await road.dispatch()
    assert await road.events(Stream.PUBLIC_HEALTH) == []
    await change(road, row_of("result", "zp9", "l", "positive", "", ""))
    await road.put_replay(offset)
    await road.dispatch()
    (event,) = await road.events(Stream.PUBLIC_HEALTH)
    assert event["body"]["result"] == "positive"


async def test_what_an_older_mapping_made_is_mapped_again_with_the_table(road: Road) -> None:
    await change(road, row_of("result", "ZP9", "L", "negative", "", ""))
    older = record(road, message(), raw=local_sample(), mapping_version=0)
    await road.hub.log.append([older])
    await road.dispatch()
    (event,) = await road.events(Stream.PUBLIC_HEALTH)
    assert event["body"]["result"] == "negative"


# ---------------------------------------------------------------- unmapped


async def test_unmapped_values_are_counted_by_frequency_and_sealed(road: Road) -> None:
    await road.put(text_result("Vu"), text_result("VU"), text_result("Flou"))
    await road.put(text_result(CANARY + " 12"), text_result("Dominique"))
    await road.dispatch()
    found = await unmapped(road)
    assert [(v.text.lower(), v.n) for v in found.values] == [("vu", 2), ("flou", 1)]
    assert all(v.first_seen_at <= v.last_seen_at for v in found.values)
    assert (found.withheld, found.beyond, found.unreadable) == (2, 0, 0)
    rows = await road.rows("SELECT lab_unmapped::text AS t, payload FROM lab_unmapped")
    for row in rows:
        for value in ("vu", "flou", CANARY.lower(), "dominique"):
            assert value not in row["t"].lower()
            assert value.encode() not in row["payload"].lower()


async def test_a_resend_counts_no_value_twice_and_a_mapping_takes_it_off_the_list(
    road: Road,
) -> None:
    await road.put(text_result("Vu"), raws=[b"same"])
    await road.put(text_result("Vu"), raws=[b"same"])
    await road.dispatch()
    assert [v.n for v in (await unmapped(road)).values] == [1]
    await change(road, POSITIF)
    assert (await unmapped(road)).values == []
    async with road.hub.pool.acquire() as connection:
        assert await codes.forget_mapped(connection, road.hub.vault, "LAB1") == 1
    assert await road.rows("SELECT 1 FROM lab_unmapped") == []


async def test_values_are_bounded_and_the_rest_is_counted(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tally, "MAX_UNMAPPED", 2)
    names = ["un peu", "moyen", "fort", "partout"]
    for _ in range(2):
        await road.put(*(text_result(name) for name in names))
        await road.dispatch()
    found = await unmapped(road)
    assert len(found.values) == 2
    assert [v.n for v in found.values] == [2, 2]
    assert (found.beyond, found.withheld) == (4, 0)


# ---------------------------------------------------------------- conformance


async def test_conformance_counts_every_message_once(road: Road) -> None:
    unmappable = Finding("obr_without_code", Level.ERROR, Place("OBR", 1, 4))
    batch = [
        record(road, numbered(1), raw=b"1"),
        record(road, numbered(2), INFO, raw=b"2"),
        record(road, numbered(3), WARNING, WARNING, INFO, raw=b"3"),
        record(road, unmappable, WARNING, raw=b"4"),
        record(road, numbered(5), ERROR, raw=b"5", refused=True),
        record(road, numbered(6), raw=b"6", software=Software("OTHER")),
        record(road, numbered(1), raw=b"7", partition=1),
    ]
    await road.hub.log.append(batch)
    await road.dispatch()
    first = await conformance(road)
    # The same bytes again: exact resends of what was accepted are duplicates and count no more.
    resent = [
        record(road, numbered(1), raw=b"1"),
        record(road, numbered(3), WARNING, WARNING, INFO, raw=b"3"),
        record(road, numbered(2), INFO, raw=b"other bytes, same content"),
    ]
    await road.hub.log.append(resent)
    await road.put_replay(3)
    await road.dispatch()
    assert await conformance(road) == first
    by_program = {(r.laboratory, r.application): r for r in first.reports}
    kalium = by_program["LAB1", "KALIUM"]
    assert (kalium.messages, kalium.refused, kalium.failed, kalium.warned, kalium.clean) == (
        5, 1, 2, 1, 2,
    )  # fmt: skip
    assert kalium.score == 50.0
    assert [(f.code, f.level, f.messages, f.times) for f in kalium.findings] == [
        ("pid_missing", "error", 1, 1),
        ("time_unreadable", "warning", 2, 3),
        ("trailing_blanks", "info", 2, 2),
    ]
    assert by_program["LAB1", "OTHER"].score == 100.0
    assert first.messages == 7
    assert [r.score for r in first.reports] == sorted(r.score or 0 for r in first.reports)
    only = await conformance(road, registry_id="lab1", vendor="kalium")
    assert [r.application for r in only.reports] == ["KALIUM"]
    assert (await conformance(road, since=date(2999, 1, 1))).reports == []


async def test_a_refused_message_counts_each_time_it_was_refused(road: Road) -> None:
    for _ in range(2):
        await road.hub.log.append([record(road, numbered(1), ERROR, raw=b"1", refused=True)])
        await road.dispatch()
    (only,) = (await conformance(road)).reports
    assert (only.messages, only.refused, only.score) == (2, 2, 0.0)
    assert only.findings[0].first_seen_at < only.findings[0].last_seen_at


async def test_days_are_told_apart_and_make_the_trend(road: Road) -> None:
    days = [datetime(2026, 11, day, 23, 59, tzinfo=UTC) for day in (3, 4, 4)]
    batch = [
        msgspec.structs.replace(record(road, numbered(n), *found, raw=b"%d" % n), received_at=at)
        for n, (at, found) in enumerate(zip(days, [(), (), (WARNING,)], strict=True))
    ]
    await road.hub.log.append(batch)
    await road.dispatch()
    report = await conformance(road, since=date(2026, 11, 1), today=date(2026, 11, 10))
    (only,) = report.reports
    assert [(p.begins_on, p.messages, p.score) for p in only.trend] == [
        (date(2026, 11, 3), 1, 100.0),
        (date(2026, 11, 4), 2, 75.0),
    ]


async def test_programs_of_a_laboratory_are_bounded(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tally, "MAX_SOFTWARE", 2)
    for start in (0, 5):
        await road.hub.log.append(
            [
                record(road, numbered(n), raw=b"%d" % n, software=Software(f"APP{n % 5}"))
                for n in range(start, start + 5)
            ]
        )
        await road.dispatch()
    report = await conformance(road)
    assert len(report.reports) == 3
    assert report.messages == 10
    others = next(r for r in report.reports if r.application == "(others)")
    assert others.messages == 6


async def test_counts_are_part_of_the_batch_and_go_with_it(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("after the counts")

    await road.hub.log.append([record(road, numbered(1))])
    with monkeypatch.context() as patched:
        patched.setattr(road.dispatcher.publisher, "write_events", broken)
        with pytest.raises(RuntimeError):
            await road.dispatch()
    assert (await conformance(road)).messages == 0
    await road.dispatch()
    assert (await conformance(road)).messages == 1


def test_the_door_names_the_software() -> None:
    raw = sample_message()
    header = read_header(raw)
    assert isinstance(header, Header)
    assert software_of(header, raw) == Software("KALIUM")


async def test_a_row_of_a_kind_is_found_by_its_key(road: Road) -> None:
    test = row_of("test", "COV2", "L", "94500-6", "", "")
    await change(road, POSITIF, test)
    gone = await change(road, remove=[(CodeKind.TEST, "cov2", "l"), (CodeKind.TEST, "x", "")])
    assert gone.removed == 1
    async with road.hub.pool.acquire() as connection:
        assert await codes.read_rows(connection, 1) == (POSITIF,)
    assert Coded("10828004", "Positive", "SCT") == Coded(POSITIF.code, POSITIF.text, POSITIF.system)
