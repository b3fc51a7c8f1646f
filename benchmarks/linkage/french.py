"""The French stream through the engine in memory: false links, review, and what errors come to.

`python -m benchmarks.linkage.french` runs 1,000,000 persons and 2,000,000 records of the test desk
(about half an hour, 8 GiB); `--persons 100000` is a tenth. Nothing of it was seen in training:
other seeds, and another model of errors in kind and rate.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter, defaultdict
from datetime import date
from typing import Final

from benchmarks.results import Row, append, load_average, say_floor, show
from dedup.model import load_model
from ops.evaluating.command import Figures, figures_of, say, say_standing
from ops.evaluating.memory import MemoryPersons
from ops.evaluating.run import WORDS, Run
from ops.simulate import desk
from ops.simulate.population import Population
from ops.simulate.stream import IdentityStream, TrueRecord
from schemas.decision import Verdict

DAY: Final = date(2026, 1, 1)
SEED: Final = 907


class ByKind:
    """What became of records of people who were there already, by what the desk got wrong."""

    def __init__(self) -> None:
        self._known: set[int] = set()
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)

    def take(self, record: TrueRecord, word: str, *, is_false: bool) -> None:
        """Count a record under each of its errors."""
        if record.person in self._known:
            ending = "false" if is_false else word
            for kind in set(record.slips) or {"nothing wrong"}:
                self.counts[kind][ending] += 1
        self._known.add(record.person)

    def lines(self) -> list[tuple[str, ...]]:
        """Return a line for each kind of error, the most frequent first."""
        lines = []
        for kind, counts in sorted(self.counts.items(), key=lambda item: -item[1].total()):
            total = counts.total()
            shares = [f"{counts[name] / total:.2%}" for name in ("link", "review", "new")]
            lines.append((kind, f"{total:,}", *shares, str(counts["false"])))
        return lines


def main() -> None:
    """Run, print and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--persons", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--desk", choices=["TRAINING", "TEST"], default="TEST")
    parser.add_argument("--model", default="fr")
    asked = parser.parse_args()
    stream = IdentityStream(
        Population(asked.seed, asked.persons, DAY),
        getattr(desk, asked.desk),
        2 * asked.persons,
        asked.seed + 1,
    )
    model = load_model(asked.model)
    persons, run, kinds = MemoryPersons(model), Run(), ByKind()
    engine_seconds = 0.0
    for number, record in enumerate(stream, 1):
        started = time.perf_counter()
        person_id, decision = persons.take(record.traits)
        engine_seconds += time.perf_counter() - started
        is_false = run.note(record.person, person_id, decision)
        word = WORDS[run.verdicts[-1]]
        if word == "review" and decision.verdict is Verdict.LINK:
            word = "link"  # it found its person; the item is about another one
        kinds.take(record, word, is_false=is_false)
        if number % 200_000 == 0:
            print(f"{number:,}: {say_standing(run.before_review)}", flush=True)
    figures = figures_of(run, model, engine_seconds)
    say(figures)
    heads = ("what was wrong", "records", "linked", "review", "split", "false")
    show("Records of people who were there already", heads, kinds.lines())
    _floors(figures)
    parameters = {
        "stream": "french", "persons": asked.persons, "records": figures.records,
        "desk": asked.desk, "seed": asked.seed, "model": figures.model, "load": load_average(),
    }  # fmt: skip
    append("identity", _rows(figures, parameters), ["rapidfuzz", "msgspec"])


def _floors(figures: Figures) -> None:
    million = figures.false_links_per_million
    say_floor("false links", million, 5, "per million", most=True)
    say_floor("review", 100 * figures.review_share, 2, "% of records", most=True)
    say_floor("pair F1 before review", figures.pair_f1, 0.974, "")
    say_floor("pair precision", figures.pair_precision, 0.99999, "")
    say_floor("pair F1 after review", figures.after_review_pair_f1, 0.999, "")


def _rows(figures: Figures, parameters: dict[str, object]) -> list[Row]:
    units = (
        ("false links per million", figures.false_links_per_million),
        ("review share", figures.review_share),
        ("pair precision", figures.pair_precision),
        ("pair recall", figures.pair_recall),
        ("pair F1", figures.pair_f1),
        ("pair F1 after review", figures.after_review_pair_f1),
        ("cluster F1", figures.cluster_f1),
        ("records/s in memory", figures.records_per_second),
    )
    return [
        Row(engine="memory", parameters=parameters, figure=figure, unit=unit)
        for unit, figure in units
    ]


if __name__ == "__main__":
    main()
