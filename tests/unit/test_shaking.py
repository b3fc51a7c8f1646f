"""Handshakes under way: few in step, some that are slow, and who has to go."""

from __future__ import annotations

import asyncio
from typing import cast

from ops.runtime.shaking import Shaking
from tests.unit.test_hellos import Loop


class Ground:
    def __init__(self, most: int, most_slow: int) -> None:
        self.loop = Loop()
        self.cut: list[object] = []
        self.told = 0
        self.shaking = Shaking(
            cast("asyncio.AbstractEventLoop", self.loop),
            most=most,
            most_slow=most_slow,
            cut=self.cut.append,
            go_on=self.tell,
        )

    def tell(self) -> None:
        self.told += 1


def test_no_more_than_so_many_are_in_step() -> None:
    ground = Ground(most=2, most_slow=8)
    ground.shaking.enter("a")
    assert ground.shaking.has_room()
    ground.shaking.enter("b")
    assert not ground.shaking.has_room()
    ground.shaking.leave("a")
    assert ground.shaking.has_room() and ground.told == 1
    ground.shaking.leave("a")
    assert ground.told == 1 and len(ground.shaking) == 1


def test_a_slow_one_makes_room_and_is_not_cut() -> None:
    ground = Ground(most=1, most_slow=8)
    ground.shaking.enter("far away")
    ground.loop.sleep_until(0.4)
    assert not ground.shaking.has_room()
    ground.loop.sleep_until(0.6)
    assert ground.shaking.has_room() and ground.told == 1
    ground.shaking.enter("near")
    ground.shaking.leave("near")
    ground.shaking.leave("far away")
    assert ground.cut == [] and len(ground.shaking) == 0


def test_of_too_many_slow_ones_those_go_that_began_first() -> None:
    ground = Ground(most=3, most_slow=2)
    for round_ in range(3):
        for number in range(3):
            ground.shaking.enter(f"{round_}{number}")
        ground.loop.sleep_until(round_ + 1.0)
        assert ground.shaking.has_room()
    assert ground.cut == ["00", "01", "02", "10", "11", "12", "20"]
    ground.shaking.leave("00")
    assert len(ground.shaking) == 2
