"""The long comparison with hl7apy: `python -m tests.support.oracle_proof` (`make proof-oracle`).

Appends dated rows to `benchmarks/results/oracle.csv`: how many messages, how many verdicts agreed,
how many differences of each class. Ends with 1 where a difference is of no class.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from random import Random
from time import monotonic
from typing import Final

from benchmarks.results import Row, append, show
from tests.golden.test_corpus import COUNTS, messages_of
from tests.support.oracle import CLASSES, compare, damaged, simulated

_SIMULATED: Final = 600


def main() -> None:
    """Compare so many messages, valid and damaged."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    random = Random(arguments.seed)
    valid = simulated(_SIMULATED)
    corpus = [raw for name in COUNTS for raw in messages_of(name)]
    counts: Counter[str] = Counter()
    classes: Counter[str] = Counter()
    began = monotonic()
    while counts["messages"] < arguments.messages:
        number = counts["tried"]
        counts["tried"] += 1
        if number < len(valid) + len(corpus):
            raw = (valid + corpus)[number]
        else:
            raw = damaged(random.choice(valid if random.random() < 0.8 else corpus), random)[1]
        one = compare(raw)
        if one is None:
            continue
        counts["messages"] += 1
        counts["same verdict"] += one.is_ok == one.is_ok_there
        counts["same findings"] += not one.classes and not one.unexplained
        counts["unexplained"] += len(one.unexplained)
        classes.update(one.classes)
        for side, key in one.unexplained:
            print("of no class:", side, *key)
        if counts["messages"] % 500 == 0:
            print(counts["messages"], "compared in", round(monotonic() - began), "s", flush=True)
    assert set(classes) <= set(CLASSES), "each class has its place in docs/profile-differences.md"
    parameters = {"messages": counts["messages"], "seed": arguments.seed}
    rows = [
        Row(engine="checker", parameters=parameters, figure=count, unit=name.replace(" ", "_"))
        for name, count in (*counts.items(), *sorted(classes.items()))
    ]
    append("oracle", rows, ("hl7apy",))
    show("our checker and hl7apy", ("what", "count"), [(row.unit, row.figure) for row in rows])
    sys.exit(1 if counts["unexplained"] else 0)


if __name__ == "__main__":
    main()
