"""Those who use a hub beside its laboratories: a receiver, a follower, whoever scrapes its figures.

Indicators, silence, the account and retention are at work in every hub; these are not, and cost it
something. They run in the benchmark's own process.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from benchmarks.product import Product
from benchmarks.results import BenchmarkFailed
from benchmarks.soak_peers import Follower, Receiver, running, scraped
from ops.tokens import OPERATOR, load_or_make_tokens
from schemas.topics import Stream
from tests.support.product import LABDISPATCH

PUSHED: Final = Stream.CONTACT_TRACING
FOLLOWED: Final = Stream.PUBLIC_HEALTH
_SCRAPE_SECONDS: Final = 15.0
_OK: Final = 200


class Peers:
    """What they got and saw."""

    def __init__(self) -> None:
        self.receiver = Receiver()
        self.scrapes: list[float] = []
        """How long each took, in seconds."""
        self.followed_bytes = 0

    def check(self) -> None:
        """Refuse a run in which one of them got nothing.

        Raises:
            BenchmarkFailed: Then not everything was on.
        """
        if not (self.receiver.taken and self.scrapes and self.followed_bytes):
            raise BenchmarkFailed(
                f"not everything was on: {self.receiver.taken} events pushed,"
                f" {len(self.scrapes)} scrapes, {self.followed_bytes} bytes followed"
            )

    def about(self) -> dict[str, object]:
        """Return what a row says of them."""
        return {
            "everything": f"push {PUSHED.value} + follow {FOLLOWED.value} + scrapes + extractions",
            "pushed": self.receiver.taken,
            "followed_bytes": self.followed_bytes,
            "scrapes": len(self.scrapes),
            "scrape_most_ms": round(max(self.scrapes, default=0.0) * 1_000),
        }


@asynccontextmanager
async def beside(product: Product) -> AsyncIterator[Peers]:
    """Have all of them use a hub for a block; one that fails ends the block."""
    tokens = load_or_make_tokens(product.settings.data_dir)
    port = product.settings.http_port
    peers = Peers()
    follower = Follower(port, FOLLOWED.value, tokens[FOLLOWED.value])
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(peers.receiver.listening())
        await asyncio.to_thread(_add_receiver, product, peers.receiver.port)
        await stack.enter_async_context(running(follower.run()))
        await stack.enter_async_context(running(_scrape(peers, port, tokens[OPERATOR])))
        yield peers
        peers.followed_bytes = follower.bytes


async def _scrape(peers: Peers, port: int, token: str) -> None:
    while True:
        for path, bearer in (("/metrics", ""), ("/metrics/laboratories", token)):
            status, _, seconds = await scraped(port, path, bearer)
            if status != _OK:
                raise BenchmarkFailed(f"{path} answered {status}")
            peers.scrapes.append(seconds)
        await asyncio.sleep(_SCRAPE_SECONDS)


def _add_receiver(product: Product, port: int) -> None:
    done = subprocess.run(
        [
            *LABDISPATCH, "receivers", "add", "beside", "--kind", "webhook",
            "--stream", PUSHED.value, "--url", f"http://127.0.0.1:{port}/in", "--from", "start",
            "--reason", "a run with everything on",
        ],
        env=product.settings.as_environment(),
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise BenchmarkFailed(f"no receiver was added: {done.stdout} {done.stderr}")
