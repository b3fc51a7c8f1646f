from __future__ import annotations

from collections.abc import Iterator

from dedup.levels import BOTH_DEFAULT, CLOSE, DATE, EXACT, FIELDS
from dedup.model import load_model
from ops.evaluating.values import suited
from schemas.patient import Address, Traits

GENERIC = load_model("generic")
CITY, STREET, FAMILY = (FIELDS.index(name) for name in ("city", "street", "family"))


def somebody(number: int, **more: object) -> Traits:
    letters = "".join(chr(65 + number // 26**place % 26) for place in range(4))
    said: dict[str, object] = {
        "birth_family": f"F{letters}",
        "birth_given": f"G{letters}",
        "birth_date": f"{1930 + number % 70}-{number % 12 + 1:02d}-{number % 27 + 2:02d}",
        "address": Address(lines=(f"{letters} STREET",), city=f"C{letters}", postcode=str(number)),
    }
    return Traits(**{**said, **more})  # type: ignore[arg-type]


def test_a_file_like_the_training_leaves_the_weights_alone() -> None:
    model, size = suited(GENERIC, map(somebody, range(1_000)))
    assert size == 1_000
    assert model.prior == 9_966
    assert not model.is_prior_open
    assert model.weights == GENERIC.weights
    assert model.guards == GENERIC.guards


def test_a_town_that_everybody_lives_in_tells_nobody_apart() -> None:
    home = Address(lines=("1 CALLE MAYOR",), city="MADRID", postcode="28001")
    model, _ = suited(GENERIC, (somebody(n, address=home) for n in range(500)))
    for field in (CITY, STREET):
        assert 0 <= model.weights[field][EXACT] < 100
        assert model.weights[field][CLOSE] < 100
    assert model.weights[FAMILY] == GENERIC.weights[FAMILY]
    assert GENERIC.weights[CITY][EXACT] > 8_000, "the model itself stays as it was"


def test_a_default_date_lowers_default_dates_alone() -> None:
    born = [{"birth_date": "1970-01-01"}] * 300 + [{}] * 700
    model, _ = suited(GENERIC, (somebody(n, **more) for n, more in enumerate(born)))
    assert model.weights[DATE][BOTH_DEFAULT] < 4_000
    assert model.weights[DATE][EXACT] == GENERIC.weights[DATE][EXACT]


def families(size: int) -> Iterator[Traits]:
    for number in range(300):
        home = Address(lines=(f"{number} STREET",), city=f"C{number}", postcode=str(number))
        yield somebody(number * 7, address=home)
        for more in range(1, size):
            yield somebody(number * 7 + more * 3_001, address=home)


def test_families_at_one_address_switch_their_guards_on() -> None:
    model, _ = suited(GENERIC, families(3))
    assert set(model.guards) == {"given_missing", "given_different", "date_not_exact"}
    alone, _ = suited(GENERIC, families(1))
    assert alone.guards == GENERIC.guards


def test_records_of_one_person_at_one_address_are_no_family() -> None:
    again = [somebody(n, birth_given="") if k else somebody(n) for n in range(300) for k in (0, 1)]
    again += [somebody(n, birth_date="") for n in range(300)] + [somebody(n) for n in range(300)]
    model, _ = suited(GENERIC, again)
    assert model.guards == GENERIC.guards
    assert model.weights == GENERIC.weights


def test_nothing_at_all_is_no_error() -> None:
    model, size = suited(GENERIC, [])
    assert size == 0
    assert model.weights == GENERIC.weights
