"""What follows from a receiver's answer, and the transaction a FHIR server gets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.pushing import (
    Answer,
    Next,
    Outcome,
    Protocol,
    PushLimits,
    Tried,
    jittered,
    next_of,
    rest_of,
)
from routing.transaction import parts_of, transaction_of, withdrawal_of

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
BEFORE, AFTER = NOON - timedelta(seconds=5), NOON + timedelta(seconds=5)
LIMITS = PushLimits(
    failures=3,
    base_seconds=1,
    event_cap_seconds=600,
    receiver_cap_seconds=60,
    retry_after_cap_seconds=100,
)


def answer(outcome: Outcome, *, whole: bool = False, retry: float | None = None) -> Answer:
    return Answer(
        outcome=outcome, protocol=Protocol.HTTP, code="x", whole=whole, retry_after_seconds=retry
    )


def next_after(
    given_answer: Answer,
    *,
    failures: int = 0,
    tried_at: datetime | None = NOON,
    others: datetime | None = None,
) -> Next:
    return next_of(
        given_answer,
        Tried(failures=failures, tried_at=tried_at),
        others_got_through_at=others,
        limits=LIMITS,
        chance=1.0,
    )


def test_what_is_accepted_or_refused_for_good_is_ended() -> None:
    assert next_after(answer(Outcome.ACCEPTED)).state == "accepted"
    assert next_after(answer(Outcome.PERMANENT)).state == "dead"


def test_what_the_receiver_answers_to_an_event_is_the_events_own_failure() -> None:
    said = answer(Outcome.TRANSIENT)
    assert next_after(said).failures == 1
    assert next_after(said, failures=1).state == "waiting"
    assert next_after(said, failures=2).state == "dead"


@given(failures=st.integers(0, 2), times=st.integers(1, 200))
def test_no_event_dies_because_its_receiver_is_away(failures: int, times: int) -> None:
    for _ in range(times):
        found = next_after(answer(Outcome.TRANSIENT, whole=True), failures=failures, others=BEFORE)
        assert (found.state, found.failures) == ("waiting", failures)
    found = next_after(
        answer(Outcome.TRANSIENT, whole=True), failures=failures, tried_at=None, others=AFTER
    )
    assert found.failures == failures, "nobody can tell at its first try"


def test_an_event_that_alone_brings_its_receiver_down_dies_in_the_end() -> None:
    said = answer(Outcome.TRANSIENT, whole=True)
    assert next_after(said, failures=2, others=AFTER).state == "dead"


def test_who_is_busy_refuses_one_of_two_and_that_is_no_events_failure() -> None:
    said = msgspec.structs.replace(answer(Outcome.TRANSIENT, whole=True), busy=True)
    assert next_after(said, failures=2, others=AFTER).failures == 2


def test_retry_after_is_honoured_within_the_cap() -> None:
    assert next_after(answer(Outcome.TRANSIENT, retry=30)).wait_seconds == 30
    assert rest_of(answer(Outcome.TRANSIENT, whole=True, retry=30), 1, LIMITS, 0.5) == 30
    assert rest_of(answer(Outcome.TRANSIENT, whole=True, retry=1e9), 1, LIMITS, 0.5) == 100


@given(times=st.integers(0, 10_000), chance=st.floats(0, 1))
def test_waits_are_jittered_and_capped(times: int, chance: float) -> None:
    assert 0.1 <= jittered(times, 1.0, 60.0, chance) <= 60.0


def test_waits_double_until_the_cap() -> None:
    waits = [jittered(n, 1.0, 60.0, 1.0) for n in range(1, 12)]
    assert all(later == min(60, 2 * earlier) for earlier, later in pairwise(waits))


# ---------------------------------------------------------------- the transaction

BASE = "https://dossier.example.org/fhir"
INS_SYSTEM = "urn:oid:1.2.250.1.213.1.4.10"


def urn(number: int) -> str:
    return f"urn:uuid:{UUID(int=number)}"


def resource(kind: str, **parts: Any) -> dict[str, Any]:
    return {"resourceType": kind, **parts}


def patient() -> dict[str, Any]:
    local = {"use": "usual", "system": "urn:oid:1.2.3", "value": "P1"}
    ins = {"use": "official", "system": INS_SYSTEM, "value": "279035121518989"}
    return resource("Patient", identifier=[local, ins])


def laboratory() -> dict[str, Any]:
    return resource("Organization", identifier=[{"system": "urn:finess", "value": "99 0|1"}])


def bundle(observations: int = 2) -> dict[str, Any]:
    found = [
        (1, patient()),
        (2, resource("DiagnosticReport", status="final", subject={"reference": urn(1)},
                     result=[{"reference": urn(10 + n)} for n in range(observations)],
                     performer=[{"reference": urn(3)}, {"reference": "#contained"}])),
        (3, laboratory()),
        (4, laboratory()),
        *((10 + n, resource("Observation", status="final", subject={"reference": urn(1)},
                            performer=[{"reference": urn(4)}])) for n in range(observations)),
        (5, resource("Provenance", target=[{"reference": urn(2)}])),
    ]  # fmt: skip
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"fullUrl": urn(number), "resource": each} for number, each in found],
    }


def by_method(transaction: dict[str, Any], method: str) -> dict[str, Any]:
    return {
        each["request"]["url"]: each
        for each in transaction["entry"]
        if each["request"]["method"] == method
    }


def test_what_belongs_to_the_report_is_put_under_its_own_id() -> None:
    made = transaction_of(bundle(), BASE)
    assert made["type"] == "transaction"
    put = by_method(made, "PUT")
    assert set(put) == {
        f"{kind}/{UUID(int=n)}"
        for kind, n in (
            ("DiagnosticReport", 2), ("Observation", 10), ("Observation", 11), ("Provenance", 5)
        )
    }  # fmt: skip
    for url, each in put.items():
        assert each["fullUrl"] == f"{BASE}/{url}"
        assert url == f"{each['resource']['resourceType']}/{each['resource']['id']}"


def test_what_reports_share_is_created_only_where_it_is_not_there() -> None:
    made = by_method(transaction_of(bundle(), BASE), "POST")
    assert made["Patient"]["request"]["ifNoneExist"] == f"identifier={INS_SYSTEM}|279035121518989"
    assert made["Organization"]["request"]["ifNoneExist"] == "identifier=urn:finess|99%200%7C1"
    assert made["Patient"]["fullUrl"] == urn(1)
    assert "id" not in made["Patient"]["resource"]


def test_one_laboratory_named_twice_is_created_once() -> None:
    made = transaction_of(bundle(), BASE)
    kinds = [each["resource"]["resourceType"] for each in made["entry"]]
    assert kinds.count("Organization") == 1
    (first,) = (each for key, each in by_method(made, "PUT").items() if key.endswith("00000a"))
    assert first["resource"]["performer"] == [{"reference": urn(3)}]


def test_every_reference_leads_somewhere() -> None:
    made = transaction_of(bundle(), BASE)
    there = {each["fullUrl"] for each in made["entry"]} | {
        each["request"]["url"] for each in made["entry"]
    }

    def references(part: Any) -> list[str]:
        if isinstance(part, dict):
            own = [part["reference"]] if "reference" in part else []
            return own + [each for value in part.values() for each in references(value)]
        return (
            [each for value in part for each in references(value)] if isinstance(part, list) else []
        )

    found = [each for entry in made["entry"] for each in references(entry["resource"])]
    assert len(found) == 10
    assert {each for each in found if not each.startswith("#")} <= there


def test_the_same_bundle_gives_the_same_bytes_and_is_left_as_it_was() -> None:
    given_bundle = bundle()
    before = msgspec.json.encode(given_bundle)
    first, second = (msgspec.json.encode(transaction_of(given_bundle, BASE)) for _ in range(2))
    assert first == second
    assert msgspec.json.encode(given_bundle) == before


def test_an_observation_that_a_correction_dropped_is_entered_in_error() -> None:
    made = transaction_of(bundle(1), BASE, parts_of(bundle(3)))
    stale = {
        url: each["resource"]
        for url, each in by_method(made, "PUT").items()
        if each["resource"].get("status") == "entered-in-error"
    }
    assert set(stale) == {f"Observation/{UUID(int=n)}" for n in (11, 12)}
    assert all(set(each) == {"resourceType", "id", "status", "code"} for each in stale.values())


@pytest.mark.parametrize("known", [True, False])
def test_a_withdrawal_leaves_no_content(known: bool) -> None:
    report_id = UUID(int=77)
    made = withdrawal_of(report_id, parts_of(bundle()) if known else (), BASE)
    kinds = sorted(each["resource"]["resourceType"] for each in made["entry"])
    assert kinds == (
        ["DiagnosticReport", "DiagnosticReport", "Observation", "Observation"]
        if known
        else ["DiagnosticReport"]
    )
    for each in made["entry"]:
        assert each["request"]["method"] == "PUT"
        assert set(each["resource"]) == {"resourceType", "id", "status", "code"}


def test_a_patient_without_an_ins_is_the_reports_own() -> None:
    alone = bundle()
    del alone["entry"][0]["resource"]["identifier"][1]
    assert ("Patient", str(UUID(int=1))) in parts_of(alone)
    assert f"Patient/{UUID(int=1)}" in by_method(transaction_of(alone, BASE), "PUT")
