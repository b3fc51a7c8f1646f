"""Several doors share a port, and what follows the door stands back."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest
import yaml

from ingest.accept import Acceptor
from ingest.listener import ListenerLimits, MllpListener

OPS = Path(__file__).parents[2] / "ops"
STAND_BACK = """
import os
from ops.runtime.lifecycle import yield_to_the_door
for nice in (12, 5):
    yield_to_the_door(nice)
    print(os.getpriority(os.PRIO_PROCESS, 0))
"""


def test_standing_back_raises_nice_and_never_takes_priority_again() -> None:
    before = os.getpriority(os.PRIO_PROCESS, 0)

    ran = subprocess.run(
        [sys.executable, "-c", STAND_BACK], capture_output=True, text=True, check=True
    )

    assert ran.stdout.split() == [str(max(12, before))] * 2


@pytest.mark.parametrize(
    "unit",
    [
        "labdispatch-inbound.service",
        "labdispatch-dispatch@.service",
        "labdispatch-relay.service",
        "labdispatch-push.service",
        "labdispatch-indicators.service",
    ],
)
def test_units_behind_the_door_weigh_less_than_the_door(unit: str) -> None:
    found = re.search(r"^CPUWeight=(\d+)$", (OPS / "systemd" / unit).read_text(), re.MULTILINE)
    assert found is not None
    assert int(found[1]) < 100
    assert "CPUWeight" not in (OPS / "systemd" / "labdispatch-ingest.service").read_text()


def test_containers_behind_the_door_weigh_less_than_the_door() -> None:
    services = yaml.safe_load((OPS / "compose" / "compose.yaml").read_text())["services"]
    for name in ("inbound", "dispatch-1", "dispatch-2", "relay", "push", "indicators"):
        assert services[name]["cpu_shares"] < 1024
    assert "cpu_shares" not in services["ingest"]


async def test_two_doors_listen_on_one_port_and_each_connection_has_one_of_them() -> None:
    limits = ListenerLimits()
    doors = [MllpListener(cast("Acceptor", None), limits) for _ in range(2)]
    await doors[0].start("127.0.0.1", 0, reuse_port=True)
    await doors[1].start("127.0.0.1", doors[0].port, reuse_port=True)
    assert doors[0].port == doors[1].port
    try:
        peers = [await asyncio.open_connection("127.0.0.1", doors[0].port) for _ in range(8)]
        while sum(len(door._connections) for door in doors) < len(peers):
            await asyncio.sleep(0.01)
        for _, writer in peers:
            writer.close()
    finally:
        for door in doors:
            await door.stop(2.0)
    assert not any(door._connections for door in doors)
