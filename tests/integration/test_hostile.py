"""Sixty hostile peers and two honest laboratories: these are answered, and everything comes back.

The thousand of `make proof-hostile` (benchmarks/hostile.py) are timed; here no time is asserted.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from ingest.listener import ListenerLimits
from ops.client import MllpClient
from ops.runtime.handshake import HandshakeLimits
from ops.runtime.metrics import METRICS
from tests.support.certificates import Authority, client_context
from tests.support.hostile import KINDS, Order, crowd
from tests.support.tls_door import hub_door, lab_of, message_of, on_uvloop, until

PEERS = 60
MESSAGES = 150


@on_uvloop
async def test_a_crowd_of_hostile_peers_costs_honest_ones_no_answer(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path / "a"), Authority(tmp_path / "b", "Other CA")
    honest = [authority.issue("LAB01"), authority.issue("LAB02")]
    attacker, stranger = authority.issue("LAB03"), other.issue("LAB04")
    labs = [lab_of(1, honest[0]), lab_of(2, honest[1]), lab_of(3, attacker)]
    limits = ListenerLimits(
        max_frame_bytes=200_000, partial_frame_seconds=2.0, unread_answer_seconds=2.0
    )
    handshake = HandshakeLimits(handshake_seconds=2.0, shutdown_seconds=1.0)
    connections = METRICS.connections._value.get()
    errors: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: errors.append(context))
    async with hub_door(
        tmp_path / "hub", authority, labs, limits=limits, handshake=handshake
    ) as door:
        stopping, begun = asyncio.Event(), asyncio.Event()
        order = Order(
            port=door.listener.port,
            peers=PEERS,
            ca=str(authority.ca),
            cert=str(attacker.cert),
            key=str(attacker.key),
            bad_cert=str(stranger.cert),
            bad_key=str(stranger.key),
            oversize_bytes=400_000,
            pause_seconds=0.2,
        )
        attacking = asyncio.ensure_future(crowd(order, stopping, begun))
        async with asyncio.timeout(60):
            await begun.wait()

        async def send(number: int) -> list[str]:
            context = client_context(authority, honest[number])
            async with MllpClient(
                "127.0.0.1", door.listener.port, timeout_seconds=60, tls=context
            ) as hub:
                return [
                    (await hub.send(message_of(f"LAB{number + 1:02d}", f"{number}-{each}"))).code
                    for each in range(MESSAGES)
                ]

        answers = await asyncio.gather(send(0), send(1))
        stopping.set()
        toll = await attacking
        assert list(answers) == [["AA"] * MESSAGES] * 2
        assert set(toll.attempts) == set(KINDS)
        await until(lambda: door.open == 0)
        assert METRICS.connections._value.get() == connections
        assert METRICS.tls_handshaking._value.get() == 0
        assert door.listener._per_address == {}
        shares = door.listener.fairness._shares.values()
        assert [share.connections for share in shares] == [0] * len(shares)
        assert {record.lab_id for record in door.accepted} == {1, 2}
    assert errors == []
