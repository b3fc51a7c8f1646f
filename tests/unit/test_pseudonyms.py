"""Pseudonyms: of the resolved person, per purpose and half-year, and gone with their key."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ops.pseudonym_keys import check_retirable
from ops.runtime.key_files import create
from ops.runtime.vault import FolderKeyStore, PseudonymKey, Vault
from routing.pseudonym import (
    DerivedKeys,
    Pseudonyms,
    check_secret,
    next_period_of,
    period_of,
    pseudonym_of,
    repseudonymised,
)
from routing.public_health import PURPOSE, anonymous_purpose, anonymous_row_of, row_of
from schemas.errors import FatalError, PermanentError
from schemas.events import PublicHealthRow
from schemas.report import Organisation
from tests.unit.test_routing_cases import case, observation, report, traits

SECRET = bytes(range(32))
KEYS = DerivedKeys(SECRET)
PSEUDONYMS = Pseudonyms(SECRET, KEYS)


class NoKeys:
    def pseudonym_key(self, purpose: str, period: str) -> bytes | None:
        del purpose, period
        return None


class Noon:
    def now(self) -> datetime:
        return datetime(2026, 11, 27, 12, tzinfo=UTC)


def row(pseudonyms: Pseudonyms = PSEUDONYMS, **about: Any) -> PublicHealthRow:
    given = case(**about)
    return row_of(given, given.findings[0], pseudonyms)


def sampled(day: str) -> PublicHealthRow:
    moment = datetime.fromisoformat(f"{day}T20:00:00+00:00")
    return row(of=report(observation(), collected_at=f"{day}T09:00:00+01:00"), received_at=moment)


def test_it_is_an_hmac_cut_to_128_bits() -> None:
    """RFC 2104 with SHA-256, so that another program that holds the key can compute it."""
    told = "person\x1f7\x1fpublic-health\x1f2026-H1"
    whole = hmac.new(SECRET, told.encode(), hashlib.sha256).hexdigest()
    found = pseudonym_of(SECRET, 7, "public-health", "2026-H1")
    assert found == whole[:32] == "fd30c6d4828fa4005121b33b4f660963"


def test_a_pseudonym_is_stable_and_cannot_be_linked() -> None:
    first = PSEUDONYMS.person(7, PURPOSE, "2026-H1")
    assert first == row(person_id=7).pseudonym == row(person_id=7, version=3).pseudonym
    others = {
        PSEUDONYMS.person(8, PURPOSE, "2026-H1"),
        PSEUDONYMS.person(7, "research", "2026-H1"),
        PSEUDONYMS.person(7, PURPOSE, "2026-H2"),
        Pseudonyms(SECRET, DerivedKeys(bytes(32))).person(7, PURPOSE, "2026-H1"),
    }
    assert len(others | {first}) == 5
    assert all(len(each) == 32 and int(each, 16) >= 0 for each in others)


def test_names_do_not_move_a_pseudonym() -> None:
    assert row().pseudonym == row(about=traits(birth_family="Zzcanàri", birth_given="")).pseudonym


@pytest.mark.parametrize(
    ("day", "period", "following"),
    [
        ("2026-01-01", "2026-H1", ""),
        ("2026-04-01", "2026-H1", ""),
        ("2026-04-02", "2026-H1", "2026-H2"),
        ("2026-06-30", "2026-H1", "2026-H2"),
        ("2026-07-01", "2026-H2", ""),
        ("2026-10-02", "2026-H2", ""),
        ("2026-10-03", "2026-H2", "2027-H1"),
        ("2026-12-31", "2026-H2", "2027-H1"),
        ("1987-03-01", "2000-H1", ""),
    ],
)
def test_periods_are_half_years_and_the_last_90_days_know_the_next(
    day: str, period: str, following: str
) -> None:
    assert period_of(date.fromisoformat(day)) == period
    assert next_period_of(date.fromisoformat(day)) == following


def test_at_rotation_a_row_carries_both() -> None:
    before, after = sampled("2026-06-20"), sampled("2026-07-01")
    assert (before.pseudonym_period, before.pseudonym_next_period) == ("2026-H1", "2026-H2")
    assert before.pseudonym_next == after.pseudonym
    assert before.pseudonym != after.pseudonym
    assert (after.pseudonym_next, after.pseudonym_next_period) == ("", "")


def test_without_its_key_a_row_has_no_pseudonym_and_stays() -> None:
    found = row(Pseudonyms(SECRET, NoKeys()))
    assert (found.pseudonym, found.pseudonym_next) == ("", "")
    assert (found.pseudonym_period, found.result) == ("2026-H1", "positive")


# ---------------------------------------------------------------- other recipients


def test_another_recipient_counts_the_same_persons_and_cannot_be_joined() -> None:
    rows = [sampled(day) for day in ("2026-06-20", "2026-06-25", "2026-07-01")]
    rows.append(row(person_id=99))
    theirs = [repseudonymised(each, KEYS, "research") for each in rows]
    ours_of = [each.pseudonym for each in rows]
    theirs_of = [each.pseudonym for each in theirs]
    assert [ours_of.index(p) for p in ours_of] == [theirs_of.index(p) for p in theirs_of]
    assert theirs[0].pseudonym_next == theirs[2].pseudonym, "the rotation goes on"
    shared = {text for each in rows for text in (each.pseudonym, each.pseudonym_next, each.case_id)}
    assert not (shared - {""}) & {
        text for each in theirs for text in (each.pseudonym, each.pseudonym_next, each.case_id)
    }
    kept = {f: getattr(theirs[0], f) for f in PublicHealthRow.__struct_fields__}
    changed = {f for f, value in kept.items() if value != getattr(rows[0], f)}
    assert changed == {"pseudonym", "pseudonym_next"}
    assert repseudonymised(rows[0], NoKeys(), "research").pseudonym == ""


def test_nothing_that_is_empty_gets_a_stand_in() -> None:
    empty = row(Pseudonyms(SECRET, NoKeys()))
    theirs = repseudonymised(empty, KEYS, "research")
    assert (theirs.pseudonym, theirs.pseudonym_next, theirs.case_id) == ("", "", "")


# ---------------------------------------------------------------- declared anonymously


def test_an_anonymous_row_joins_with_no_other_row_of_the_person() -> None:
    given = case(laboratory=Organisation(name="L", identifier="750000018"))
    plain = row_of(given, given.findings[0], PSEUDONYMS)
    hidden = anonymous_row_of(given, given.findings[0], PSEUDONYMS)
    assert hidden.pseudonym == PSEUDONYMS.person(
        given.person.person_id, anonymous_purpose("sars-cov-2"), "2026-H1"
    )
    assert hidden.pseudonym != plain.pseudonym
    assert (hidden.age, hidden.age_class) == (None, plain.age_class)
    assert (hidden.residence_commune, hidden.residence_department) == ("", "75")
    assert (hidden.laboratory_finess, hidden.laboratory_commune) == ("", "")
    assert hidden.laboratory_department == plain.laboratory_department == "75"
    assert (hidden.sampled_on, hidden.dates, plain.dates) == ("2026-03-01", "month", "day")
    assert (hidden.reported_on, hidden.received_on) == ("2026-03-01", "2026-03-01")
    assert (hidden.result, hidden.test_code) == (plain.result, plain.test_code)


# ---------------------------------------------------------------- keys


def test_each_purpose_and_period_has_a_key_that_lasts(tmp_path: Path) -> None:
    vault = Vault(FolderKeyStore(tmp_path / "keys"), Noon())
    first = vault.pseudonym_key("public-health", "2026-H1")
    assert first is not None
    keys = {
        vault.pseudonym_key("public-health", "2026-H2"),
        vault.pseudonym_key("research", "2026-H1"),
        vault.secret("pseudonym"),
    }
    assert first not in keys
    assert len(keys) == 3
    other = Vault(FolderKeyStore(tmp_path / "keys"), Noon())
    assert other.pseudonym_key("public-health", "2026-H1") == first


def test_a_retired_key_is_gone_and_is_not_made_again(tmp_path: Path) -> None:
    vault = Vault(FolderKeyStore(tmp_path / "keys"), Noon())
    assert vault.pseudonym_key("public-health", "2026-H1") is not None
    vault.retire_pseudonym_key("public-health", "2026-H1")
    vault.retire_pseudonym_key("public-health", "2026-H1")
    vault.retire_pseudonym_key("public-health", "2025-H2")
    for each in (vault, Vault(FolderKeyStore(tmp_path / "keys"), Noon())):
        assert each.pseudonym_key("public-health", "2026-H1") is None
        assert each.pseudonym_key("public-health", "2025-H2") is None, "none was ever made"
        assert each.pseudonym_key("public-health", "2026-H2") is not None
    assert not (tmp_path / "keys" / "pseudonym-public-health-2026-H1.key").exists()


def test_keys_are_listed_by_name_alone(tmp_path: Path) -> None:
    vault = Vault(FolderKeyStore(tmp_path / "keys"), Noon())
    vault.secret("pseudonym")
    vault.pseudonym_key("public-health", "2026-H1")
    vault.pseudonym_key("public-health.hiv", "2025-H2")
    vault.retire_pseudonym_key("public-health", "2024-H2")
    assert vault.pseudonym_keys() == [
        ("public-health", "2024-H2", True),
        ("public-health.hiv", "2025-H2", False),
        ("public-health", "2026-H1", False),
    ]


def test_only_a_period_that_is_over_is_retired() -> None:
    keys = [PseudonymKey("public-health", f"2026-H{half}", is_retired=False) for half in (1, 2)]
    day = date(2026, 11, 27)
    # For 90 days rows of it still come, and are corrected.
    check_retirable(keys, "public-health", "2026-H1", date(2026, 9, 29))
    for early in (date(2026, 6, 30), date(2026, 7, 1), date(2026, 9, 28)):
        with pytest.raises(PermanentError, match="period_not_over"):
            check_retirable(keys, "public-health", "2026-H1", early)
    with pytest.raises(PermanentError, match="period_not_over"):
        check_retirable(keys, "public-health", "2026-H2", day)
    for purpose, period in (("public-health", "2025-H1"), ("publichealth", "2026-H1")):
        with pytest.raises(PermanentError, match="no_such_key"):
            check_retirable(keys, purpose, period, day)


def test_a_key_that_is_retired_while_it_is_made_goes_again(tmp_path: Path) -> None:
    class Racing(FolderKeyStore):
        def load_or_make(self, name: str) -> bytes:
            key = super().load_or_make(name)
            create(tmp_path / "keys" / f"{name}.gone", b"")
            return key

    vault = Vault(Racing(tmp_path / "keys"), Noon())
    assert vault.pseudonym_key("public-health", "2026-H1") is None
    assert not (tmp_path / "keys" / "pseudonym-public-health-2026-H1.key").exists()


def test_two_processes_make_one_key(tmp_path: Path) -> None:
    one, other = (Vault(FolderKeyStore(tmp_path / "keys"), Noon()) for _ in range(2))
    assert one.pseudonym_key("p", "2026-H1") == other.pseudonym_key("p", "2026-H1")


def test_a_folder_that_cannot_be_read_is_nobodys_message(tmp_path: Path) -> None:
    """Inside the pure step an unclassified error would park the message at hand."""

    class Broken(FolderKeyStore):
        def load_or_make(self, name: str) -> bytes:
            raise PermissionError(13, name)

    vault = Vault(Broken(tmp_path / "keys"), Noon())
    with pytest.raises(FatalError, match="keys_unreadable"):
        vault.pseudonym_key("public-health", "2026-H1")


@pytest.mark.parametrize(("purpose", "period"), [("../x", "2026-H1"), ("p", "2026-Q1"), ("", "x")])
def test_names_of_keys_leave_the_folder_never(tmp_path: Path, purpose: str, period: str) -> None:
    vault = Vault(FolderKeyStore(tmp_path / "keys"), Noon())
    with pytest.raises(AssertionError):
        vault.pseudonym_key(purpose, period)


def test_a_short_secret_is_refused() -> None:
    for secret in (b"", b"short", bytes(65)):
        with pytest.raises(FatalError):
            check_secret(secret)
        with pytest.raises(FatalError):
            DerivedKeys(secret)


def test_a_body_of_before_can_be_read() -> None:
    """Fields are added only: what was written without them has their defaults."""
    old = {
        name: value
        for name, value in msgspec.structs.asdict(row()).items()
        if name in PublicHealthRow.__struct_fields__[:21]
    }
    read = msgspec.json.decode(msgspec.json.encode(old), type=PublicHealthRow)
    assert (read.record, read.new_case, read.variant) == ("result", None, "")
