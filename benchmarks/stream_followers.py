"""Many who follow a stream, in one process: notes how late each line is.

`python -m benchmarks.stream_followers PORT TOKEN FOLLOWERS EVENTS`: says `following` once all have
caught up, reads until each follower has so many events, and writes p50, p99 and the greatest
lateness, from `emitted_at` (set before the transaction) to the line's arrival.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from datetime import datetime
from typing import Any

import uvloop

from benchmarks.results import quantile

_EMITTED = re.compile(rb'"emitted_at":"([^"]+)"')


class _Follower(asyncio.Protocol):
    def __init__(self, crowd: _Crowd) -> None:
        self._crowd = crowd
        self._rest = b""
        self._is_in = False

    def connection_made(self, transport: Any) -> None:
        transport.write(self._crowd.request)

    def data_received(self, data: bytes) -> None:
        now = time.time()
        if not self._is_in:
            # The first line that is only a cursor: it has caught up.
            self._rest += data
            if b'\n{"cursor"' in self._rest:
                self._is_in, self._rest = True, b""
                self._crowd.enter()
            return
        whole, _, rest = (self._rest + data).rpartition(b"\n")
        self._rest = rest
        for text in _EMITTED.findall(whole):
            self._crowd.note(text, now)


class _Crowd:
    def __init__(self, token: str, followers: int, events: int) -> None:
        self.request = (
            f"GET /v1/streams/public-health?follow=true&after=end HTTP/1.1\r\nHost: hub\r\n"
            f"Authorization: Bearer {token}\r\nAccept-Encoding: identity\r\n\r\n"
        ).encode()
        self.done = asyncio.Event()
        self.is_in = asyncio.Event()
        self.late: list[float] = []
        self._awaited = followers
        self._left = followers * events
        self._times: dict[bytes, float] = {}

    def enter(self) -> None:
        self._awaited -= 1
        if self._awaited == 0:
            self.is_in.set()

    def note(self, text: bytes, now: float) -> None:
        at = self._times.get(text)
        if at is None:
            at = self._times[text] = datetime.fromisoformat(text.decode()).timestamp()
        self.late.append(now - at)
        self._left -= 1
        if self._left == 0:
            self.done.set()


async def _run(port: int, token: str, followers: int, events: int) -> None:
    crowd = _Crowd(token, followers, events)
    loop = asyncio.get_running_loop()
    for _ in range(followers):
        await loop.create_connection(lambda: _Follower(crowd), "127.0.0.1", port)
    async with asyncio.timeout(60):
        await crowd.is_in.wait()
    sys.stdout.write("following\n")
    sys.stdout.flush()
    try:
        async with asyncio.timeout(120):
            await crowd.done.wait()
    except TimeoutError:
        pass
    sys.stdout.write(
        json.dumps(
            {
                "lines": len(crowd.late),
                "p50": quantile(crowd.late, 0.5),
                "p99": quantile(crowd.late, 0.99),
                "max": max(crowd.late),
            }
        )
    )


if __name__ == "__main__":
    uvloop.run(_run(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
