"""The trade-off: false links per million against recall, over thresholds, with and without guards.

`python -m benchmarks.linkage.curve` runs the test desk's stream once. Every record joins its true
person whatever was decided, so that one pass gives every threshold: linked or not is told from the
total of the best candidate whom no guard stops. Draws docs/identity-curve.svg, by hand: two lines,
a logarithmic axis. Recall is of records whose person was there already.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.results import Row, append, load_average, show
from dedup.decide import decide
from dedup.identity import Candidate, HeldIns, PersonKeys
from dedup.keys import derive
from dedup.model import Model, load_model
from ops.simulate.desk import TEST
from ops.simulate.population import Population
from ops.simulate.stream import IdentityStream
from schemas.decision import MatchDecision, Realm

PICTURE: Final = Path(__file__).parents[2] / "docs" / "identity-curve.svg"
THRESHOLDS: Final = tuple(range(-20, 31, 2))
_SECRET: Final = b"a curve only: nothing is kept"
_ALWAYS: Final = 10**6


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """What a threshold gives."""

    bits: int
    recall: float
    false_per_million: float


class Told:
    """For one model: the total of each record's best candidate, and whether that is right."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.right: list[int] = []
        self.wrong: list[int] = []

    def take(self, keys: PersonKeys, candidates: Iterable[Candidate], truth: int) -> None:
        """Ask about a record."""
        best = _best(decide(keys, candidates, self.model))
        if best is not None:
            total, person = best
            (self.right if person == truth else self.wrong).append(total)

    def points(self, known: int, records: int) -> list[Point]:
        """Return recall and false links of every threshold."""
        return [
            Point(
                bits=bits,
                recall=sum(total >= 1000 * bits for total in self.right) / known,
                false_per_million=sum(total >= 1000 * bits for total in self.wrong) / records * 1e6,
            )
            for bits in THRESHOLDS
        ]


def main() -> None:
    """Run, draw, print and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--persons", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=311)
    asked = parser.parse_args()
    fr = load_model("fr")
    guarded, bare = Told(fr), Told(msgspec.structs.replace(fr, guards={}))
    people = Population(asked.seed, asked.persons, date(2026, 1, 1))
    stream = IdentityStream(people, TEST, 2 * asked.persons, asked.seed + 1)
    persons: dict[int, Candidate] = {}
    under: dict[int, list[int]] = {}
    known = 0
    for record in stream:
        keys = derive(record.traits, Realm.TEST, _SECRET, fr)
        numbers = {n for key in keys.blocking for n in under.get(key, ())[:300]}
        if numbers:
            found = [persons[n] for n in sorted(numbers)]
            for told in (guarded, bare):
                told.take(keys, found, record.person)
        known += record.person in persons
        _learn(persons, under, record.person, keys, is_own="parent_ins" not in record.slips)
    lines = {
        name: told.points(known, len(stream))
        for name, told in (("with guards", guarded), ("without guards", bare))
    }
    PICTURE.write_text(drawn(lines, len(stream)), "utf-8")
    for name, points in lines.items():
        table = [(p.bits, f"{p.recall:.4f}", f"{p.false_per_million:,.1f}") for p in points]
        show(name, ("bits", "recall", "false per million"), table)
    _append(lines, asked.persons, asked.seed)


def _append(lines: dict[str, list[Point]], persons: int, seed: int) -> None:
    rows = []
    for name, points in lines.items():
        at = next(p for p in points if p.bits == 6)
        about = {"stream": "french curve", "persons": persons, "seed": seed, "guards": name,
                 "bits": at.bits, "load": load_average()}  # fmt: skip
        rows.append(
            Row(
                engine="memory",
                parameters=about,
                figure=at.false_per_million,
                unit="false links per million",
            )
        )
        rows.append(Row(engine="memory", parameters=about, figure=at.recall, unit="recall"))
    append("identity", rows, ["rapidfuzz"])


def _best(decision: MatchDecision) -> tuple[int, int] | None:
    """Return total and person of the best candidate whom no guard stops."""
    if decision.rule in {"same_ins", "declared_history"}:
        assert decision.person_id is not None
        return _ALWAYS, decision.person_id
    free = [found for found in decision.candidates if not found.guard]
    return (free[0].total, free[0].person_id) if free else None


def _learn(
    persons: dict[int, Candidate],
    under: dict[int, list[int]],
    number: int,
    keys: PersonKeys,
    *,
    is_own: bool,
) -> None:
    person = persons.setdefault(number, Candidate(person_id=number, ins={}, aliases={}))
    person.aliases[keys.alias_digest] = keys.identity
    borrowed = None
    if keys.ins is not None and is_own:
        person.ins[keys.ins.digest] = HeldIns(keys.ins.ins)
    elif keys.ins is not None:
        borrowed = keys.ins.key
    for key in keys.blocking:
        if key != borrowed and number not in (held := under.setdefault(key, [])):
            held.append(number)


# ------------------------------------------------------------------ the picture

_WIDTH: Final = 640
_HEIGHT: Final = 400
_LEFT: Final = 70
_BOTTOM: Final = 340
_TOP: Final = 30
_RIGHT: Final = 610
_Axis = Callable[[float], float]
_COLOURS: Final = ("#1b6ca8", "#c0392b")


def drawn(lines: dict[str, list[Point]], records: int) -> str:
    """Return an SVG: recall across, false links per million upwards on a logarithmic axis."""
    low = min(p.recall for points in lines.values() for p in points)
    low = math.floor(low * 50) / 50
    floor = min(1e6 / records / 2, 2.5)
    tops = [p.false_per_million for points in lines.values() for p in points]
    top = 10 ** math.ceil(math.log10(max(*tops, 10.0)))

    def across(recall: float) -> float:
        return _LEFT + (recall - low) / (1.0 - low) * (_RIGHT - _LEFT)

    def upwards(false: float) -> float:
        share = math.log(max(false, floor) / floor) / math.log(top / floor)
        return _BOTTOM - share * (_BOTTOM - _TOP)

    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
            'font-family="sans-serif" font-size="12">'
        ),
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
    ]
    exponent = math.ceil(math.log10(floor))
    for power in range(exponent, round(math.log10(top)) + 1):
        y = upwards(10.0**power)
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{_RIGHT}" stroke="#ddd"/>')
        parts.append(
            f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{10**power:,.0f}</text>'
        )
    parts.append(
        f'<path d="M{_LEFT} {upwards(5):.1f}H{_RIGHT}" stroke="#888" stroke-dasharray="4 4"/>'
    )
    for step in range(6):
        recall = low + step * (1.0 - low) / 5
        parts.append(
            f'<text x="{across(recall):.1f}" y="{_BOTTOM + 18}" text-anchor="middle">'
            f"{recall:.3f}</text>"
        )
    parts.append(
        f'<text x="{(_LEFT + _RIGHT) // 2}" y="{_BOTTOM + 40}" text-anchor="middle">'
        "recall: records that find their person by themselves</text>"
    )
    parts.append(
        f'<text x="{_LEFT}" y="{_TOP - 12}">false links per million records '
        f"(dashed: 5; lowest line: none in {records:,})</text>"
    )
    for (name, points), colour in zip(lines.items(), _COLOURS, strict=True):
        parts += _line(points, colour, across, upwards)
        last = points[0]
        parts.append(
            f'<text x="{across(last.recall) - 6:.1f}" '
            f'y="{upwards(last.false_per_million) - 8:.1f}" '
            f'fill="{colour}" text-anchor="end">{name}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def _line(points: Sequence[Point], colour: str, across: _Axis, upwards: _Axis) -> list[str]:
    places = [(across(p.recall), upwards(p.false_per_million), p.bits) for p in points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
    parts = [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>']
    for x, y, bits in places:
        radius = 4 if bits == 6 else 2
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}"/>')
    return parts


if __name__ == "__main__":
    main()
