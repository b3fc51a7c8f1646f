"""The register on disk: whole, signed, of this instance and not old; or refused with a remedy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.codes import CodeKind, CodeTable, LocalCode
from ingest.lab import Lab, LabCertificate, LabLimits
from ingest.lab_snapshot import Snapshot, SnapshotKeeper, check_usable, read_file, seal, unseal
from ops.runtime.migrate import Instance
from schemas.errors import TransientError

NOON = datetime(2026, 3, 6, 12, tzinfo=UTC)
KEY = b"k" * 32
INSTANCE = Instance(
    instance_id=UUID(int=7), realm="production", engine="cluster", partitions=64
)  # fmt: skip
LABS = [
    Lab(
        lab_id=1,
        registry_id="A",
        name="Laboratoire É",
        state="live",
        codes=CodeTable(
            [LocalCode(kind=CodeKind.RESULT, local="Vu", code="10828004", system="SCT")]
        ),
        facilities=frozenset({"B", "C"}),
        limits=LabLimits(rate_per_second=2.5),
        certificates=(
            LabCertificate(
                fingerprint=b"\x01" * 32, subject="CN=a", not_before=NOON, not_after=NOON
            ),
            LabCertificate(subject="CN=rule"),
        ),
        tokens=(b"\x02" * 32,),
    ),
    Lab(lab_id=2, registry_id="D"),
]
SNAPSHOT = Snapshot(instance=INSTANCE, topic_prefix="p-", taken_at=NOON, labs=LABS)
SEALED = seal(SNAPSHOT, KEY)


class Clock:
    def __init__(self) -> None:
        self.moment = NOON

    def now(self) -> datetime:
        return self.moment


def keeper(folder: Path, clock: Clock, **more: Any) -> SnapshotKeeper:
    return SnapshotKeeper(
        folder / "register.snapshot", KEY, instance=INSTANCE, topic_prefix="p-", clock=clock,
        max_age_seconds=7 * 86_400, **more,
    )  # fmt: skip


def test_what_was_sealed_is_read_as_it_was() -> None:
    assert unseal(SEALED, KEY) == SNAPSHOT
    assert unseal(SEALED, KEY).labs[0].codes.rows == LABS[0].codes.rows


@given(st.integers(0, len(SEALED) - 1), st.integers(1, 255))
def test_no_byte_can_be_another(place: int, change: int) -> None:
    other = bytearray(SEALED)
    other[place] ^= change
    with pytest.raises(TransientError, match="snapshot_signature_wrong: start PostgreSQL"):
        unseal(bytes(other), KEY)


@given(st.integers(0, len(SEALED) - 1))
def test_no_part_of_one_is_one(length: int) -> None:
    with pytest.raises(TransientError, match="snapshot_signature_wrong"):
        unseal(SEALED[:length], KEY)


def test_another_key_signs_nothing_of_ours() -> None:
    with pytest.raises(TransientError, match="snapshot_signature_wrong"):
        unseal(SEALED, b"x" * 32)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({}, ""),
        ({"partitions": None}, ""),
        ({"realm": "test"}, "snapshot_of_other_instance"),
        ({"engine": "embedded"}, "snapshot_of_other_instance"),
        ({"partitions": 16}, "snapshot_of_other_instance"),
        ({"topic_prefix": ""}, "snapshot_of_other_instance"),
        ({"now": NOON + timedelta(days=6.9)}, ""),
        ({"now": NOON + timedelta(days=7.1)}, "snapshot_too_old: start PostgreSQL"),
        ({"now": NOON - timedelta(hours=2)}, "snapshot_too_old"),
    ],
)
def test_it_must_be_of_this_instance_and_not_too_old(asked: dict[str, Any], says: str) -> None:
    given: dict[str, Any] = {
        "realm": "production", "engine": "cluster", "partitions": 64, "topic_prefix": "p-",
        "now": NOON, "max_age_seconds": 7 * 86_400.0,
    }  # fmt: skip
    if not says:
        check_usable(SNAPSHOT, **{**given, **asked})
        return
    with pytest.raises(TransientError, match=says):
        check_usable(SNAPSHOT, **{**given, **asked})


async def test_it_is_written_when_the_register_moved_and_confirmed_now_and_then(
    tmp_path: Path,
) -> None:
    clock = Clock()
    kept = keeper(tmp_path, clock)
    path = tmp_path / "register.snapshot"

    def taken_at() -> datetime:
        return unseal(read_file(path) or b"", KEY).taken_at

    await kept.keep(LABS, changed=False)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["register.snapshot"]
    clock.moment = NOON + timedelta(minutes=5)
    await kept.keep(LABS, changed=False)
    assert taken_at() == NOON
    await kept.keep(LABS[:1], changed=True)
    assert taken_at() == clock.moment
    clock.moment = NOON + timedelta(hours=2)
    await kept.keep(LABS[:1], changed=False)
    assert taken_at() == clock.moment
    assert len(unseal(read_file(path) or b"", KEY).labs) == 1


async def test_a_disk_that_takes_nothing_is_no_error_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = keeper(tmp_path, Clock())
    await kept.keep(LABS, changed=True)

    def full(*_: object) -> None:
        raise OSError(28, "full")

    with monkeypatch.context() as patched:
        patched.setattr("ingest.lab_snapshot.write_private", full)
        await kept.keep(LABS[:1], changed=True)
    path = tmp_path / "register.snapshot"
    assert unseal(read_file(path) or b"", KEY).labs == LABS
    await kept.keep(LABS[:1], changed=False)
    assert unseal(read_file(path) or b"", KEY).labs == LABS[:1]


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "register.snapshot"
    assert read_file(path) is None
    path.write_bytes(SEALED)
    path.chmod(0o640)
    with pytest.raises(TransientError, match="snapshot_unreadable: chmod 600"):
        read_file(path)
