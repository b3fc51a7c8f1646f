"""The short run: every target over its kept corpus, and over mutations of it by a fixed seed.

The long run is `make proof-fuzz` (atheris, by coverage). This one needs nothing but Python.
"""

from __future__ import annotations

from random import Random

import pytest

from tests.fuzz.mutate import mutated
from tests.fuzz.targets import TARGETS, corpus_of

MUTATIONS = 1_500


@pytest.mark.parametrize("name", TARGETS)
def test_the_kept_corpus_holds(name: str) -> None:
    target, _ = TARGETS[name]
    inputs = corpus_of(name)
    assert len(inputs) >= 10
    for raw in inputs:
        target(raw)


@pytest.mark.parametrize("name", TARGETS)
def test_mutations_of_the_corpus_hold(name: str) -> None:
    target, _ = TARGETS[name]
    inputs, random = corpus_of(name), Random(f"labdispatch {name}")
    for _ in range(MUTATIONS):
        raw = mutated(random.choice(inputs), random.choice(inputs), random)
        try:
            target(raw)
        except Exception as error:  # noqa: BLE001 - whatever it is, the input must be shown
            # The bytes are invented: they may be shown, and belong into the corpus.
            pytest.fail(f"{type(error).__name__}: {error}\n{raw!r}")


def test_the_same_seed_gives_the_same_inputs() -> None:
    raw = corpus_of("reader")
    assert mutated(raw[0], raw[1], Random(1)) == mutated(raw[0], raw[1], Random(1))
