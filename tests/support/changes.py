"""What comes and goes between three extractions of a made-up world, results and persons of windows.

Nothing here comes from the code under test.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from tests.support.attacks import World
from tests.support.published import AGAIN, BEFORE, FIELDS, Leaf, Results, sums_of


def changes_of_one_sign(
    random: Random, world: World, *, is_loss: bool
) -> list[tuple[Results, Results]]:
    """Return what came by each extraction; what went, if it is that, below zero."""
    late = random.choice((0.02, 0.05, 0.15, 0.4))
    found: list[tuple[Results, Results]] = [(Results(), Results()) for _ in range(3)]
    for at, every in enumerate((world.results, world.persons)):
        for leaf, count in sorted(every.items()):
            for _ in range(count):
                epoch = random.choice((1, 2)) if random.random() < late else 0
                if not is_loss:
                    found[epoch][at][leaf] += 1
                    continue
                found[0][at][leaf] += 1
                if epoch:
                    found[epoch][at][leaf] -= 1
    return found


def mixed_changes(random: Random, world: World) -> list[tuple[Results, Results]]:
    """Return what came by each extraction, and below zero what went: leaf by leaf one of both.

    Where of one place and kind the negative went and the positive came, it was corrected.
    """
    late = random.choice((0.05, 0.15, 0.4))
    found: list[tuple[Results, Results]] = [(Results(), Results()) for _ in range(3)]
    for at, every in enumerate((world.results, world.persons)):
        for leaf, count in sorted(every.items()):
            signs = {epoch: random.choice((1, -1)) for epoch in (1, 2)}
            for _ in range(count):
                epoch = random.choice((1, 2)) if random.random() < late else 0
                found[0][at][leaf] += not epoch or signs[epoch] < 0
                if epoch:
                    found[epoch][at][leaf] += signs[epoch]
    return found


def of_sign(net: Results, sign: int) -> Results:
    """Return of what has changed that which came, or went: count by count, as the hub does.

    As leaves, some of which may be below zero: of a corrected test no test came, but a positive.
    """
    places: dict[Leaf, list[int]] = {}
    for leaf, count in net.items():
        place = leaf._replace(positive=False, kind="")
        held = places.setdefault(place, [0] * len(FIELDS))
        for at, each in enumerate(sums_of(leaf, sign * count)):
            held[at] += each
    found: Results = Results()
    for place, counts in places.items():
        tests, persons, eligible, positives, positive_persons, cases = (
            max(0, count) for count in counts
        )
        for kind, whole, positive in (
            ("", eligible, cases),
            (BEFORE, persons - eligible, positive_persons - cases),
            (AGAIN, tests - persons, positives - positive_persons),
        ):
            found[place._replace(kind=kind, positive=True)] += positive
            found[place._replace(kind=kind)] += whole - positive
    return found


def sum_of(epochs: Sequence[tuple[Results, Results]]) -> tuple[Results, Results]:
    """Return results and persons of all extractions, those too that went."""
    both: tuple[Results, Results] = (Results(), Results())
    for parts in epochs:
        for whole, part in zip(both, parts, strict=True):
            for leaf, count in part.items():
                whole[leaf] += max(0, count)
    return both
