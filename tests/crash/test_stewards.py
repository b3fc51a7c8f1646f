"""SIGKILL in the middle of a merge and of its undoing, while results of everybody come in.

A merge that died before its commit is not there, one that died after it is there; the next command
finds nothing locked, and at the end every result is in its place.
"""

from __future__ import annotations

import asyncio
import json
import signal
from typing import Any

import pytest

from ops.runtime.failpoints import FAILPOINTS
from tests.support.load import simulated, under_load
from tests.support.product import Embedded, run

IN_CI = {"stewards.after_pointer", "stewards.before_commit", "stewards.after_commit"}
ALL = {name for name in FAILPOINTS if name.startswith("stewards.")}


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "places",
    [
        pytest.param(sorted(IN_CI), id="in-ci"),
        pytest.param(sorted(ALL - IN_CI), id="the-others", marks=[pytest.mark.proof]),
    ],
)
async def test_killed_in_a_merge_and_in_its_undoing(places: list[str]) -> None:
    instance = Embedded()
    try:
        instance.start()

        async def merge_and_die() -> None:
            pair = await two_persons(instance)
            for place in places:
                is_done = place == "stewards.after_commit"
                await command(instance, "merge", *pair, dies_at=place)
                assert await is_merged(instance, pair) is is_done
                if not is_done:
                    await command(instance, "merge", *pair)
                event = (await history(instance, pair[0], "merge"))[0]["event"]
                await command(instance, "undo", str(event), dies_at=place)
                assert await is_merged(instance, pair) is not is_done
                if not is_done:
                    await command(instance, "undo", str(event))

        await under_load(instance, simulated(21, 250), merge_and_die, pause_seconds=0.05)
    finally:
        instance.remove()


async def two_persons(instance: Embedded) -> tuple[str, str]:
    """Two persons that can be merged, once enough results are there."""
    for _ in range(200):
        for pair in (("1", "2"), ("2", "3"), ("1", "3"), ("3", "4")):
            done = await run(instance, "identity", "merge", *pair, "--json")
            if done.returncode == 0:
                event = json.loads(done.stdout)["event"]
                await command(instance, "undo", str(event))
                return pair
        await asyncio.sleep(0.1)
    raise AssertionError("no two persons came")


async def is_merged(instance: Embedded, pair: tuple[str, str]) -> bool:
    """Whether more of the pair's merges than of its unmerges were committed."""
    merges = await history(instance, pair[0], "merge")
    return len(merges) > len(await history(instance, pair[0], "unmerge"))


async def history(instance: Embedded, person: str, kind: str) -> list[dict[str, Any]]:
    told = await run(instance, "review", "history", person, "--json")
    assert told.returncode == 0, told.stderr
    return [event for event in json.loads(told.stdout) if event["kind"] == kind]


async def command(instance: Embedded, *words: str, dies_at: str = "") -> None:
    done = await run(instance, "identity", *words, dies_at=dies_at)
    wanted = -signal.SIGKILL if dies_at else 0
    assert done.returncode == wanted, (words, dies_at, done.returncode, done.stderr)
