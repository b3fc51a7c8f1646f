from __future__ import annotations

from collections import Counter
from datetime import date

import msgspec
import pytest

from ops.simulate.desk import TEST, TRAINING, Desk
from ops.simulate.numbers import nir_key
from ops.simulate.population import Population
from ops.simulate.stream import IdentityStream, TrueRecord

PERSONS = 4_000
NOTHING_WRONG = msgspec.structs.replace(
    TEST, scans=False, **dict.fromkeys((f for f in Desk.__struct_fields__ if f != "scans"), 0.0)
)


def stream(desk: Desk, records: int = 2 * PERSONS, seed: int = 3) -> IdentityStream:
    return IdentityStream(Population(5, PERSONS, date(2026, 1, 1)), desk, records, seed)


@pytest.fixture(scope="module")
def tested() -> list[TrueRecord]:
    return list(stream(TEST))


def test_a_record_is_the_same_whoever_asks(tested: list[TrueRecord]) -> None:
    again = stream(TEST)
    for number in (0, 17, 7_999, 4_000):
        assert msgspec.msgpack.encode(again.record(number)) == msgspec.msgpack.encode(
            tested[number]
        )


def test_everybody_has_a_record_and_the_order_is_shuffled(tested: list[TrueRecord]) -> None:
    seen = Counter(record.person for record in tested)
    assert len(seen) == PERSONS
    assert max(seen.values()) >= 4
    first = [record.person for record in tested[:200]]
    assert first != sorted(first)
    with pytest.raises(ValueError, match="at least one record"):
        stream(TEST, records=PERSONS - 1)


def test_another_seed_is_another_stream(tested: list[TrueRecord]) -> None:
    other = stream(TEST, seed=4)
    assert [other.record(n).person for n in range(50)] != [r.person for r in tested[:50]]


def test_every_kind_of_error_strikes_about_as_often_as_asked(tested: list[TrueRecord]) -> None:
    struck = Counter(slip for record in tested for slip in record.slips)
    of_all = {"slip_family", "slip_given", "without_place", "without_phone", "date_digit"}
    for name in of_all:
        assert 0.5 < struck[name] / len(tested) / getattr(TEST, name) < 1.7, name
    for name in ("parent_ins", "names_swapped", "transliterated", "married_as_birth"):
        assert struck[name], name
    without = sum(not record.traits.ins for record in tested)
    assert 0.2 < without / len(tested) < 0.4


def test_a_parents_ins_stands_on_a_tenth_of_the_children(tested: list[TrueRecord]) -> None:
    people = Population(5, PERSONS, date(2026, 1, 1))
    children = {i for i in range(PERSONS) if people.parent_of(i) is not None}
    struck = {record.person for record in tested if "parent_ins" in record.slips}
    assert struck <= children
    assert 0.03 < len(struck) / len(children) < 0.11
    for record in tested:
        if "parent_ins" in record.slips:
            parent = people.parent_of(record.person)
            assert parent is not None
            assert record.traits.ins[0].matricule == people.person(parent).ins


def test_without_errors_records_of_one_person_say_the_same() -> None:
    said: dict[int, set[tuple[str, ...]]] = {}
    for record in stream(NOTHING_WRONG):
        traits = record.traits
        assert record.slips == ()
        key = (
            traits.birth_family.upper(), traits.birth_given.upper(), traits.birth_date,
            traits.birth_place, traits.sex, *(ins.matricule for ins in traits.ins),
        )  # fmt: skip
        said.setdefault(record.person, set()).add(key[2:])
    assert all(len(keys) == 1 for keys in said.values())


def test_both_desks_differ_in_kind_and_in_rate() -> None:
    differ = [f for f in Desk.__struct_fields__ if getattr(TEST, f) != getattr(TRAINING, f)]
    assert len(differ) > 20
    assert TEST.scans is not TRAINING.scans
    assert (TRAINING.double_name, TEST.double_name > 0) == (0, True)


def test_numbers_have_right_keys(tested: list[TrueRecord]) -> None:
    for record in tested:
        for ins in record.traits.ins:
            assert nir_key(ins.matricule[:13]) == ins.matricule[13:]
