"""The pure identity engine on one core: normalise, keys, compare, decide; candidates in memory.

`python -m benchmarks.identity`. Records of the simulator's stream (test desk) go through the engine
in their order, as they would in the service: tight keys first, wide ones where those give no link;
each record then joins its person. Only the engine is timed, each part apart: not the making of the
record, nor the dictionaries that stand for the tables. The asked figure is of normalise + compare +
decide, over the last records, when all persons are there; those before join whom they are about.
`--clock cpu` counts the thread's own time: on a machine that others use, the wall's p99 is theirs.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable, Iterable
from datetime import date
from typing import Final

import dedup
from benchmarks.results import Row, append, load_average, quantile, say_floor, show
from dedup.decide import decide
from dedup.identity import Candidate, HeldIns, PersonKeys
from dedup.keys import derive
from dedup.model import Model, load_model
from dedup.normalize import normalise
from ops.simulate.desk import TEST
from ops.simulate.population import Population
from ops.simulate.stream import IdentityStream
from schemas.decision import MatchDecision, Realm
from schemas.patient import Traits

Clock = Callable[[], float]
CLOCKS: Final[dict[str, Clock]] = {"wall": time.perf_counter, "cpu": time.thread_time}
SECRET: Final = b"k" * 32
ON: Final = date(2026, 11, 1)
FLOOR_PER_SECOND: Final = 20_000
CEILING_MICROSECONDS: Final = 150


class Memory:
    """Persons and keys, as the tables hold them."""

    def __init__(self) -> None:
        self._under: dict[int, list[int]] = {}
        self._persons: dict[int, Candidate] = {}

    def candidates(self, keys: Iterable[int]) -> list[Candidate]:
        """Return the persons under these keys, at most 300 a key."""
        numbers = {p for key in keys for p in self._under.get(key, ())[:300]}
        return [self._persons[number] for number in sorted(numbers)]

    def learn(self, keys: PersonKeys, number: int, *, is_owner: bool) -> None:
        """Let the record join a person; its INS too, unless it is somebody else's card."""
        person = self._persons.get(number)
        if person is None:
            person = self._persons[number] = Candidate(person_id=number, ins={}, aliases={})
        person.aliases[keys.alias_digest] = keys.identity
        if keys.ins is not None and is_owner:
            person.ins[keys.ins.digest] = HeldIns(keys.ins.ins)
        for key in keys.blocking:
            known = self._under.setdefault(key, [])
            if number not in known:
                known.append(number)


class Times:
    """Seconds of each part, a list each."""

    def __init__(self) -> None:
        self.normalise: list[float] = []
        self.derive: list[float] = []
        self.decide: list[float] = []
        self.candidates: list[int] = []


def run(stream: IdentityStream, model: Model, timed: int, clock: Clock) -> Times:
    """Send the stream through the engine; time the last `timed` records."""
    memory, times = Memory(), Times()
    first = len(stream) - timed
    for number, record in enumerate(stream):
        if number < first:
            keys = derive(record.traits, Realm.TEST, SECRET, model)
            memory.learn(keys, record.person, is_owner="parent_ins" not in record.slips)
            continue
        if number == first:
            gc.collect()
            gc.freeze()
        keys, decision = _timed(record.traits, memory, model, times, clock)
        linked = decision.person_id
        person = len(stream) + number if linked is None else linked
        memory.learn(keys, person, is_owner=decision.contradicts is None)
    return times


def _timed(
    traits: Traits, memory: Memory, model: Model, times: Times, clock: Clock
) -> tuple[PersonKeys, MatchDecision]:
    started = clock()
    normalise(traits)
    normalised = clock()
    keys = derive(traits, Realm.TEST, SECRET, model)
    derived = clock()
    found = memory.candidates(keys.tight)
    compared = clock()
    decision = decide(keys, found, model)
    seconds = clock() - compared
    if decision.person_id is None and keys.wide:
        found = memory.candidates(keys.blocking)
        compared = clock()
        decision = decide(keys, found, model)
        seconds += clock() - compared
    times.normalise.append(normalised - started)
    times.derive.append(derived - normalised)
    times.decide.append(seconds)
    times.candidates.append(len(found))
    return keys, decision


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--persons", type=int, default=100_000)
    parser.add_argument("--records", type=int, default=130_000)
    parser.add_argument("--timed", type=int, default=20_000)
    parser.add_argument("--model", default="fr")
    parser.add_argument("--clock", choices=sorted(CLOCKS), default="wall")
    parser.add_argument("--dry", action="store_true", help="write no row")
    asked = parser.parse_args()
    population = Population(20_261_127, asked.persons, ON)
    stream = IdentityStream(population, TEST, asked.records, 7)
    times = run(stream, load_model(asked.model), asked.timed, CLOCKS[asked.clock])
    asked_for = [n + d for n, d in zip(times.normalise, times.decide, strict=True)]
    whole = [g + d for g, d in zip(times.derive, times.decide, strict=True)]
    parts = {
        "normalise": times.normalise,
        "derive (normalise + keys)": times.derive,
        "compare + decide": times.decide,
        "normalise + compare + decide": asked_for,
        "with keys": whole,
    }
    lines = [
        (
            name,
            f"{1e6 * sum(took) / len(took):.1f}",
            f"{1e6 * quantile(took, 0.5):.1f}",
            f"{1e6 * quantile(took, 0.99):.1f}",
            f"{len(took) / sum(took):,.0f}",
        )
        for name, took in parts.items()
    ]
    show("microseconds a record", ("part", "mean", "median", "p99", "per second"), lines)
    rate = len(asked_for) / sum(asked_for)
    p99 = 1e6 * quantile(asked_for, 0.99)
    mean = sum(times.candidates) / len(times.candidates)
    print(f"candidates a record: {mean:.2f}; compiled twins: {dedup.IS_COMPILED}")
    say_floor("pure engine", rate, FLOOR_PER_SECOND, "records/s")
    say_floor("p99", p99, CEILING_MICROSECONDS, "us", most=True)
    if asked.dry:
        return
    about = {
        "persons": asked.persons,
        "records": asked.records,
        "timed": asked.timed,
        "clock": asked.clock,
        "model": asked.model,
        "twins": dedup.IS_COMPILED,
        "candidates": round(mean, 2),
        "load": load_average(),
    }
    rows = [
        Row(engine="pure", parameters={"part": name, **about}, figure=figure, unit=unit)
        for name, figure, unit in (
            ("normalise+compare+decide", rate, "records/s"),
            ("normalise+compare+decide p99", p99, "us"),
            ("with keys", len(whole) / sum(whole), "records/s"),
        )
    ]
    append("identity_engine", rows, ("msgspec", "rapidfuzz"))


if __name__ == "__main__":
    main()
