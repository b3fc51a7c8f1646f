"""Figures that come together: none is lost, and they are those that single ones would make."""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry, Counter, Histogram

from ops.runtime.metrics import GATHERED_SECONDS, Gathered, Seconds

BUCKETS = (0.001, 0.01, 0.1)
VALUES = [0.0, 0.001, 0.0011, 0.01, 0.05, 0.1, 7.0]


def counter() -> tuple[Counter, CollectorRegistry]:
    registry = CollectorRegistry()
    return Counter("some", "Some", registry=registry), registry


def test_many_values_at_once_are_the_same_as_each() -> None:
    alone, together = CollectorRegistry(), CollectorRegistry()
    each = Histogram("t", "T", buckets=BUCKETS, registry=alone)
    for value in VALUES:
        each.observe(value)
    Seconds("t", "T", buckets=BUCKETS, registry=together).observe_all(VALUES)
    for le in ("0.001", "0.01", "0.1", "+Inf"):
        found = [of.get_sample_value("t_bucket", {"le": le}) for of in (alone, together)]
        assert found[0] == found[1]
    assert together.get_sample_value("t_sum") == alone.get_sample_value("t_sum")
    assert together.get_sample_value("t_count") == len(VALUES)


def test_outside_of_a_loop_they_are_given_at_once() -> None:
    figure, registry = counter()
    gathered = Gathered()
    gathered.add(figure, 3)
    assert registry.get_sample_value("some_total") == 3


def test_in_a_loop_they_are_given_together_a_moment_later() -> None:
    figure, registry = counter()
    gathered = Gathered()

    async def counted() -> None:
        for _ in range(5):
            gathered.add(figure)
        assert registry.get_sample_value("some_total") == 0
        async with asyncio.timeout(60):
            while registry.get_sample_value("some_total") != 5:
                await asyncio.sleep(GATHERED_SECONDS / 10)

    asyncio.run(counted())


def test_a_loop_that_ended_keeps_nothing_back() -> None:
    figure, registry = counter()
    gathered = Gathered()

    async def once() -> None:
        gathered.add(figure)

    asyncio.run(once())
    asyncio.run(once())
    gathered.give()
    assert registry.get_sample_value("some_total") == 2
    gathered.add(figure)
    assert registry.get_sample_value("some_total") == 3
