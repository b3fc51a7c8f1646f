from __future__ import annotations

from datetime import UTC, date, datetime
from uuid import UUID

import msgspec
import pytest

from ops.auditing.chain import Broken, Entry, Link, digest_of, follow
from ops.retention.ages import Ages, Kind, check_days, keys_due, oldest_days
from ops.retention.certificate import Certificate, Part, written
from ops.retention.families import Span, children_of, weeks_due
from ops.runtime.vault import DayKey, SealClass, day_key
from schemas.errors import PermanentError

AGES = Ages(intake=90, names=90, public_health=800, identity=90, codes=400, inbox=35)
TODAY = date(2026, 11, 27)
CUTS = AGES.cuts(TODAY)


def key(seal_class: SealClass, day: date) -> DayKey:
    return DayKey(seal_class, day)


def test_a_day_is_kept_for_its_days_and_no_longer() -> None:
    kept, gone = date(2026, 8, 29), date(2026, 8, 28)
    assert CUTS[Kind.NAMES] == kept
    keys = [key(SealClass.STREAM, kept), key(SealClass.STREAM, gone)]
    assert keys_due(keys, CUTS) == [key(SealClass.STREAM, gone)]
    assert keys_due([key(SealClass.PUBLIC_HEALTH, gone)], CUTS) == []


def test_every_class_of_keys_has_an_age() -> None:
    long_ago = date(2020, 1, 2)
    keys = [key(each, long_ago) for each in SealClass]
    assert keys_due(keys, CUTS) == keys
    assert set(oldest_days(keys).values()) == {long_ago}


def test_many_days_of_one_class_at_once_are_suspect() -> None:
    due = [key(SealClass.INTAKE, date(2026, 8, n)) for n in range(1, 10)]
    check_days(due[:8], 8)
    check_days([*due[:8], key(SealClass.STREAM, date(2026, 8, 1))], 8)
    with pytest.raises(PermanentError, match="intake") as caught:
        check_days(due, 8)
    assert caught.value.reason == "purge_suspect"


@pytest.mark.parametrize("seal_class", SealClass)
def test_a_key_is_known_by_its_name(seal_class: SealClass) -> None:
    held = key(seal_class, TODAY)
    assert day_key(held.name) == held


@pytest.mark.parametrize(
    "name", ["master", "secret-person", "intake-20261399", "other-20261127", "intake-2026-11-27"]
)
def test_other_names_are_no_keys_of_days(name: str) -> None:
    assert day_key(name) is None


def test_spans_count_what_is_of_age() -> None:
    span = Span(partition=0, first=10, last=19, kept=15)
    assert (span.aged, span.young) == (5, 5)
    whole = Span(partition=0, first=10, last=19, kept=20)
    assert (whole.aged, whole.young) == (10, 0)


def test_partitions_are_read_from_their_bounds() -> None:
    rows = [
        {"part": "intake_r1", "bound": "FOR VALUES FROM ('1048576') TO ('2097152')"},
        {"part": "intake_r0", "bound": "FOR VALUES FROM ('0') TO ('1048576')"},
    ]
    assert [child.part for child in children_of(rows)] == ["intake_r0", "intake_r1"]
    weeks = [
        {"part": "inbox_w20261012", "bound": "FOR VALUES FROM ('2026-10-12') TO ('2026-10-19')"},
        {"part": "inbox_w20261019", "bound": "FOR VALUES FROM ('2026-10-19') TO ('2026-10-26')"},
    ]
    assert weeks_due(weeks, CUTS) == ["inbox_w20261012"]


def test_a_certificate_is_always_the_same_text() -> None:
    certificate = Certificate(
        purge_id=7,
        instance_id=UUID(int=1),
        began_at=datetime(2026, 11, 27, tzinfo=UTC),
        ended_at=datetime(2026, 11, 27, 0, 1, tzinfo=UTC),
        actor="hub",
        why="its retention has passed",
        kept_from={kind.value: day for kind, day in CUTS.items()},
        keys_destroyed=["intake-20260828"],
        partitions=[Part(family="intake", part="intake_r0", rows=3)],
    )
    text, digest = written(certificate)
    assert written(msgspec.json.decode(text, type=Certificate)) == (text, digest)


def entry(number: int, previous: bytes, **changes: object) -> Entry:
    bare = Entry(
        audit_id=number,
        at=datetime(2026, 11, 27, 9, 30, 0, 5, tzinfo=UTC),
        actor="tester",
        action="replay",
        subject="1/2",
        reason="é",
        previous=previous,
        digest=b"",
    )
    whole = msgspec.structs.replace(bare, digest=digest_of(bare))
    return msgspec.structs.replace(whole, **changes)


def test_the_chain_breaks_where_it_was_changed() -> None:
    first = entry(1, b"\x00")
    link = follow(Link(), first)
    assert link == Link(audit_id=1, digest=first.digest)
    second = entry(2, first.digest)
    assert isinstance(follow(link, second), Link)
    assert follow(Link(), second) == Broken(audit_id=1, why="it is missing: 2 comes next")
    for changed, why in (
        (entry(2, first.digest, reason="another"), "it does not say what was hashed"),
        (entry(2, b"\x01" * 32), "it was not appended to the entry before it"),
    ):
        assert follow(link, changed) == Broken(audit_id=2, why=why)
