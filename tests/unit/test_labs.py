"""The register as a door sees it: who a certificate, a token or a facility stands for, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from ingest.lab import Expiry, Lab, LabCertificate, expiry_of, may_speak
from ingest.labs import LabRegister
from ops.runtime.metrics import METRICS, render
from schemas.errors import TransientError

NOON = datetime(2026, 3, 6, 12, tzinfo=UTC)
DAY = timedelta(days=1)


class Clock:
    def __init__(self) -> None:
        self.moment = NOON

    def now(self) -> datetime:
        return self.moment


class Store:
    """Holds what it was given; the same list until it is given another."""

    def __init__(self, *labs: Lab) -> None:
        self.labs = list(labs)
        self.is_full = False
        self.asked = 0

    async def all(self) -> list[Lab]:
        return self.labs

    async def register(self, registry_id: str) -> Lab | None:
        self.asked += 1
        await asyncio.sleep(0)
        return None if self.is_full else Lab(lab_id=99, registry_id=registry_id)


class Keeper:
    def __init__(self) -> None:
        self.kept: list[bool] = []

    async def keep(self, labs: Sequence[Lab], *, changed: bool) -> None:
        self.kept.append(changed)

    def tell(self) -> None:
        pass


def by_print(number: int, *, begins: int = -1, ends: int = 90, revoked: bool = False) -> LabCertificate:  # fmt: skip  # noqa: E501
    return LabCertificate(
        fingerprint=bytes([number]) * 32,
        subject=f"CN=lab{number}",
        not_before=NOON + begins * DAY,
        not_after=NOON + ends * DAY,
        revoked=revoked,
    )


async def register_of(*labs: Lab, clock: Clock | None = None) -> LabRegister:
    made = LabRegister(Store(*labs), register_unknown=False, clock=clock or Clock())
    await made.refresh()
    return made


async def test_a_laboratory_is_found_by_each_facility_it_may_speak_for() -> None:
    lab = Lab(lab_id=1, registry_id="990010001", facilities=frozenset({"SITE B", "SITE C"}))
    register = await register_of(lab, Lab(lab_id=2, registry_id="OTHER"))
    assert register.get("SITE B") is register.get("SITE C") is register.get("990010001") is lab
    assert register.get("SITE D") is None
    assert len(register) == 2
    assert [may_speak(lab, name) for name in ("990010001", "SITE B", "OTHER", "")] == [
        True, True, False, False,
    ]  # fmt: skip


async def test_a_certificate_counts_between_its_two_ends_by_the_doors_own_clock() -> None:
    clock = Clock()
    lab = Lab(lab_id=1, registry_id="A", certificates=(by_print(1, begins=1, ends=2),))
    register = await register_of(lab, clock=clock)
    found = []
    for days in (0, 1, 2, 3):
        clock.moment = NOON + days * DAY
        found.append(register.of_certificate(b"\x01" * 32, "CN=lab1") is lab)
    assert found == [False, True, True, False]


async def test_two_certificates_hold_in_a_rotation_and_a_revoked_one_never() -> None:
    lab = Lab(
        lab_id=1,
        registry_id="A",
        certificates=(by_print(1), by_print(2), by_print(3, revoked=True)),
    )
    register = await register_of(lab)
    assert register.of_certificate(b"\x01" * 32, "") is lab
    assert register.of_certificate(b"\x02" * 32, "") is lab
    assert register.of_certificate(b"\x03" * 32, "") is None
    assert register.of_certificate(b"\x04" * 32, "") is None


async def test_a_subject_rule_takes_the_whole_subject_and_no_revoked_fingerprint() -> None:
    rule = LabCertificate(subject="CN=lab-7,O=Lab")
    lab = Lab(lab_id=1, registry_id="A", certificates=(rule, by_print(3, revoked=True)))
    register = await register_of(lab)
    assert register.of_certificate(b"\x09" * 32, "CN=lab-7,O=Lab") is lab
    for subject in ("CN=lab-7", "CN=lab-7,O=Lab,C=FR", "cn=lab-7,o=lab", ""):
        assert register.of_certificate(b"\x09" * 32, subject) is None
    assert register.of_certificate(b"\x03" * 32, "CN=lab-7,O=Lab") is None


@pytest.mark.parametrize("wrong", ["", "tokem", "token ", "t" * 201, "\ud800"])
async def test_a_token_is_known_by_its_digest_alone(wrong: str) -> None:
    lab = Lab(lab_id=1, registry_id="A", tokens=(sha256(b"token").digest(),))
    register = await register_of(lab)
    assert register.of_token("token") is lab
    assert register.of_token(wrong) is None


async def test_what_has_not_moved_is_not_taken_again_and_what_has_is_kept() -> None:
    store, keeper = Store(Lab(lab_id=1, registry_id="A")), Keeper()
    register = LabRegister(store, register_unknown=True, clock=Clock(), keeper=keeper)
    await register.refresh()
    admitted = await register.admit("NEW")
    await register.refresh()
    assert register.get("NEW") is admitted, "an unchanged register drops nobody"
    store.labs = [Lab(lab_id=1, registry_id="B")]
    await register.refresh()
    assert (register.get("A"), register.get("NEW")) == (None, None)
    assert keeper.kept == [True, False, True]


async def test_a_full_register_is_asked_once_between_two_looks() -> None:
    store = Store()
    register = LabRegister(store, register_unknown=True, clock=Clock())
    store.is_full = True
    METRICS.limit_hits.labels("first_sight").inc(0)
    before = figure("labdispatch_limit_hits_total", limit="first_sight")
    for name in ("A", "B", "C"):
        with pytest.raises(TransientError) as caught:
            await register.admit(name)
        assert caught.value.reason == "first_sight_full"
    assert store.asked == 1
    assert figure("labdispatch_limit_hits_total", limit="first_sight") == before + 3
    store.is_full = False  # the operator raised the bound
    await register.refresh()
    assert await register.admit("A") is not None


async def test_registrations_under_way_are_bounded() -> None:
    store = Store()
    register = LabRegister(store, register_unknown=True, clock=Clock(), max_pending=2)
    names = ("A", "B", "C", "A")
    done = await asyncio.gather(*map(register.admit, names), return_exceptions=True)
    assert [isinstance(each, Lab) for each in done] == [True, True, False, True]
    assert isinstance(done[2], TransientError)
    assert store.asked == 2
    assert await register.admit("C") is not None


async def test_figures_tell_the_registers_age_and_the_certificates() -> None:
    clock = Clock()
    store = Store(
        Lab(lab_id=1, registry_id="A", certificates=(by_print(1, ends=3),)),
        Lab(lab_id=2, registry_id="B", certificates=(by_print(2, ends=-3),)),
    )
    register = LabRegister(store, register_unknown=False, clock=clock)
    await register.refresh()
    assert figure("labdispatch_register_age_seconds") == 0
    assert figure("labdispatch_certificate_soonest_days") == -3
    for ends, count in (("expired", 1), ("under_7_days", 1), ("under_30_days", 0), ("later", 0)):
        assert figure("labdispatch_certificate_laboratories", ends=ends) == count

    async def away() -> list[Lab]:
        raise TransientError("database_away")

    store.all = away  # type: ignore[method-assign]
    clock.moment = NOON + 5 * DAY
    keeping = asyncio.ensure_future(register.keep_fresh(0.01))
    async with asyncio.timeout(20):
        while figure("labdispatch_register_age_seconds") == 0:
            await asyncio.sleep(0.01)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    assert figure("labdispatch_register_age_seconds") == 5 * 86_400
    assert figure("labdispatch_certificate_laboratories", ends="expired") == 2


def figure(name: str, **labels: str) -> float:
    (text,) = [
        line for line in render().decode().splitlines()
        if line.startswith(name) and all(f'{k}="{v}"' in line for k, v in labels.items())
    ]  # fmt: skip
    return float(text.rpartition(" ")[2])


def test_laboratories_are_counted_by_the_end_of_their_last_certificate() -> None:
    labs = [
        Lab(lab_id=1, registry_id="ROTATES", certificates=(by_print(1, ends=-1), by_print(2))),
        Lab(lab_id=2, registry_id="OVER", certificates=(by_print(3, ends=-2),)),
        Lab(lab_id=3, registry_id="SOON", certificates=(by_print(4, ends=3),)),
        Lab(lab_id=4, registry_id="NEXT", certificates=(by_print(5, ends=29),)),
        Lab(lab_id=5, registry_id="NONE"),
        Lab(lab_id=6, registry_id="GONE", certificates=(by_print(6, ends=3, revoked=True),)),
        Lab(lab_id=7, registry_id="OFF", state="suspended", certificates=(by_print(7, ends=1),)),
        Lab(lab_id=8, registry_id="RULE", certificates=(LabCertificate(subject="CN=x"),)),
    ]
    assert expiry_of(labs, NOON) == Expiry(
        soonest_days=-2.0, expired=1, under_7_days=1, under_30_days=1, later=1
    )
    assert expiry_of([], NOON) == Expiry()
