"""Topic against outbox: the same events, once, in order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from typing import Any

from tests.support.cluster import Cluster


async def in_kafka_once(cluster: Cluster, stream: str, events: Iterable[Mapping[str, Any]]) -> None:
    """Wait until the relay has caught up, then compare each partition event by event.

    Raises:
        AssertionError: An event is missing, twice, out of order, or was never in the outbox.
    """
    wanted: dict[int, list[str]] = {}
    for event in events:
        wanted.setdefault(event["partition"], []).append(event["event_id"])
    total = sum(map(len, wanted.values()))
    found: dict[int, list[str]] = {}
    for _ in range(60):
        found = {}
        for partition, _, key, value in sorted(await cluster.topic(stream)):
            event = json.loads(value)
            assert key.decode() == event["report_id"]
            found.setdefault(partition, []).append(event["event_id"])
        if sum(map(len, found.values())) >= total:
            break
        await asyncio.sleep(0.5)
    assert found == wanted, f"{stream}: {cluster.last_words()}"
