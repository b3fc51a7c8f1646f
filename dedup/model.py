"""The model: prior, weights, frequencies, thresholds, guards and key families of a matcher. Pure.

A model is a versioned file (`dedup/model/NAME.json`) and immutable once read. All weights are whole
thousandths of a bit, so that a score is added up without rounding and any decision is recomputed
bit for bit.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

from schemas.errors import PermanentError

from .levels import FAMILY, FIELDS, GIVEN, LEVELS
from .model_file import FrequencyFile, ModelFile

FOLDER: Final = Path(__file__).parent / "model"
SERVICE_MODEL: Final = "fr"
"""The model the service runs."""

_FIRST_DECADE: Final = 1901
_LAST_DECADE: Final = 2011
_EIGHTH: Final = 125


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model as the engine uses it; bits are thousandths."""

    name: str
    version: str
    prior: int
    """What speaks against any link before a trait was looked at: log2 of the population."""
    link: int
    review: int
    margin: int
    bridging: bool
    tie_links: bool
    isolates_nobody: bool
    guards: Mapping[str, str]
    tight: tuple[tuple[str, tuple[str, ...]], ...]
    wide: tuple[tuple[str, tuple[str, ...]], ...]
    has_starts: bool
    """A key family is made of beginnings of texts (`dedup.keys.starts_of`)."""
    weights: tuple[tuple[int, ...], ...]
    """By field and level."""
    family_shares: tuple[int, ...]
    """By level of the family name: thousandths of the name's own rarity that count."""
    given_shares: tuple[int, ...]
    usual_family: tuple[int, ...]
    """By level: the rarity that the weight already holds (-log2 u)."""
    usual_given: tuple[int, ...]
    surnames: Mapping[str, int]
    """Rarity of a surname; empty where the model knows no frequencies."""
    given_names: Mapping[str, Mapping[str, int]]
    """`F1961` or `F` -> rarity of a given name."""
    unseen_surname: int
    unseen_given: int
    attested: frozenset[str]
    """Given names that are names: two of them are two persons, however alike (guard 6)."""
    is_prior_open: bool = False
    """The file gives no prior: `for_population` must."""

    def for_population(self, size: int) -> Model:
        """Return this model with the prior of a population of that many persons."""
        prior = round(1000 * math.log2(max(size, 2)))
        return msgspec.structs.replace(self, prior=prior, is_prior_open=False)

    def family_rarity(self, name: str) -> int:
        """Return how much a surname says, in thousandths of a bit."""
        return self.surnames.get(name, self.unseen_surname)

    def given_rarity(self, name: str, sex: str, born: str) -> int:
        """Return how much a given name says of somebody of that sex and year of birth."""
        table = self.given_names.get(f"{sex}{_decade(born)}")
        if table is not None and name in table:
            return table[name]
        if sex:
            return self.given_names.get(sex, _NONE).get(name, self.unseen_given)
        ofs = [t[name] for t in (self.given_names.get(s, _NONE) for s in ("F", "M")) if name in t]
        return min(ofs) + 1000 if ofs else self.unseen_given


_NONE: Final[Mapping[str, int]] = {}


def _decade(born: str) -> int:
    year = born[:4]
    if not year.isdigit():
        return 0
    return min(max((int(year) - 1) // 10 * 10 + 1, _FIRST_DECADE), _LAST_DECADE)


@lru_cache(maxsize=8)
def load_model(name_or_path: str) -> Model:
    """Return a model by name (`fr`, `generic`) or by the path of its file; read once a process.

    Raises:
        PermanentError: There is no such file, or it is no model.
    """
    path = Path(name_or_path)
    if not name_or_path.endswith(".json"):
        path = FOLDER / f"{name_or_path}.json"
    try:
        written = msgspec.json.decode(path.read_bytes(), type=ModelFile)
        frequencies = None
        if written.frequencies:
            beside = path.parent / written.frequencies
            frequencies = msgspec.json.decode(beside.read_bytes(), type=FrequencyFile)
    except OSError:
        raise PermanentError(
            "model_missing", "give `fr`, `generic` or the path of a model"
        ) from None
    except msgspec.MsgspecError as error:
        raise PermanentError("model_unreadable", f"mend the model file: {error}") from None
    return build(written, frequencies)


def load_version(version: str) -> Model:
    """Return the model that made a decision, by the version that stands in it (`fr-1`).

    Raises:
        PermanentError: No file in `dedup/model/` has it; keep those whose decisions are explained.
    """
    for path in sorted(FOLDER.glob("*.json")):
        if not path.name.startswith("names-"):
            model = load_model(path.stem)
            if model.version == version:
                return model
    raise PermanentError("model_missing", "put the model's file back into dedup/model")


def build(written: ModelFile, frequencies: FrequencyFile | None = None) -> Model:
    """Return the model that a file says.

    Raises:
        PermanentError: It names a field, level, guard or part that does not exist.
    """
    _check(written)
    surnames: dict[str, int] = {}
    given_names: dict[str, Mapping[str, int]] = {}
    unseen_surname = unseen_given = 0
    if frequencies is not None:
        unseen_surname = round(1000 * frequencies.unseen_surname_bits)
        unseen_given = round(1000 * frequencies.unseen_given_bits)
        surnames = _spread(frequencies.surnames)
        given_names = {group: _spread(rows) for group, rows in frequencies.given.items()}
    has_names = frequencies is not None
    return Model(
        name=written.name,
        version=f"{written.name}-{written.version}",
        prior=round(1000 * (written.prior_bits or 0.0)),
        link=_odds(written.link_posterior),
        review=round(1000 * written.review_bits),
        margin=round(1000 * written.margin_bits),
        bridging=written.bridging,
        tie_links=written.tie_links,
        isolates_nobody=written.isolates_nobody,
        guards=dict(written.guards),
        tight=tuple(written.tight.items()),
        wide=tuple(written.wide.items()),
        has_starts=any(
            part.endswith("_start")
            for families in (written.tight, written.wide)
            for parts in families.values()
            for part in parts
        ),
        weights=tuple(_weights(written, field) for field in range(len(LEVELS))),
        family_shares=_shares(written, FAMILY, has_names=has_names),
        given_shares=_shares(written, GIVEN, has_names=has_names),
        usual_family=_usual(written, FAMILY),
        usual_given=_usual(written, GIVEN),
        surnames=surnames,
        given_names=given_names,
        unseen_surname=unseen_surname,
        unseen_given=unseen_given,
        attested=frozenset(name for group in given_names.values() for name in group),
        is_prior_open=written.prior_bits is None,
    )


def _check(written: ModelFile) -> None:
    from .guards import GUARDS  # noqa: PLC0415 - guards read the model's type
    from .keys import PARTS  # noqa: PLC0415 - keys read the model's type

    known = {name: set(levels) for name, levels in LEVELS}
    wrong = [f"field {name}" for name in written.fields if name not in known]
    wrong += [
        f"level {level} of {name}"
        for name, levels in written.fields.items()
        for level in levels
        if level not in known.get(name, set())
    ]
    wrong += [f"guard {g}" for g, a in written.guards.items() if g not in GUARDS or a not in _ACTS]
    wrong += [
        f"key part {part}"
        for families in (written.tight, written.wide)
        for parts in families.values()
        for part in parts
        if part not in PARTS
    ]
    if wrong:
        raise PermanentError("model_unreadable", f"mend the model file: no {', no '.join(wrong)}")


_ACTS: Final = frozenset({"review", "new"})


def _odds(probability: float) -> int:
    return round(1000 * math.log2(probability / (1.0 - probability)))


def _weights(written: ModelFile, field: int) -> tuple[int, ...]:
    said = written.fields.get(FIELDS[field], {})
    return tuple(
        round(1000 * math.log2(said[level].m / said[level].u)) if level in said else 0
        for level in LEVELS[field][1]
    )


def _shares(written: ModelFile, field: int, *, has_names: bool) -> tuple[int, ...]:
    said = written.fields.get(FIELDS[field], {})
    return tuple(
        round(1000 * said[level].frequency) if has_names and level in said else 0
        for level in LEVELS[field][1]
    )


def _usual(written: ModelFile, field: int) -> tuple[int, ...]:
    """Return the rarity that exact agreement supposes; other levels are measured against it too."""
    exact = written.fields.get(FIELDS[field], {}).get("exact")
    bits = round(-1000 * math.log2(exact.u)) if exact is not None else 0
    return tuple(bits for _ in LEVELS[field][1])


def _spread(rows: Mapping[str, str]) -> dict[str, int]:
    """Return rarity by name; a name that stands in many groups is held once."""
    return {
        sys.intern(name): int(eighths) * _EIGHTH
        for eighths, names in rows.items()
        for name in names.split(",")
    }
