"""Every Bundle judged: `python -m tests.support.fhir.proof` (`make proof-fhir`).

The test corpus, the golden files and so many simulated messages go through HAPI's validator; dated
rows go to `benchmarks/results/fhir.csv`. Ends with 1 where a Bundle has a fault, and says which
accepted warnings were never met.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from time import monotonic
from typing import Final

from benchmarks.results import Row, append, show
from tests.support.fhir.goldens import GOLDENS, golden_body

from .bundles import body_of, of_corpus, simulated
from .judge import ACCEPTED, Accepted, Judge, faults

_SHOWN: Final = 20


def main() -> None:
    """Judge the Bundles of so many messages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    counts: Counter[str] = Counter()
    met: Counter[Accepted] = Counter()
    began = monotonic()
    with Judge(at_length=True) as judge:
        for source, body in _bodies(arguments.messages, arguments.seed):
            issues = judge.judge(body)
            wrong = faults(issues)
            counts[source] += 1
            counts["faults"] += len(wrong)
            met.update(one for one in ACCEPTED if any(one.fits(issue) for issue in issues))
            for issue in wrong[: max(0, _SHOWN - counts["faults"] + len(wrong))]:
                # Invented people only: what is said of them may be shown.
                print(source, issue.severity, issue.id, issue.place, issue.message, flush=True)
            if sum(counts.values()) % 1_000 == 0:
                print(dict(counts), "in", round(monotonic() - began), "s", flush=True)
    for one in ACCEPTED:
        if not met[one]:
            print("never met:", one.id, one.message, "-", one.reason)
    parameters = {"messages": arguments.messages, "seed": arguments.seed}
    rows = [
        Row(engine="dossier", parameters=parameters, figure=count, unit=name.replace(" ", "_"))
        for name, count in (*counts.items(), ("seconds", round(monotonic() - began)))
    ]
    append("fhir", rows, ())
    show("Bundles judged by HAPI", ("what", "count"), [(row.unit, row.figure) for row in rows])
    sys.exit(1 if counts["faults"] else 0)


def _bodies(messages: int, seed: int) -> Iterator[tuple[str, bytes]]:
    for name in GOLDENS:
        yield "golden bundles", golden_body(name)
    for case in of_corpus():
        yield "corpus bundles", body_of(case)
    for case in simulated(messages, seed=seed):
        yield "simulated bundles", body_of(case)


if __name__ == "__main__":
    main()
