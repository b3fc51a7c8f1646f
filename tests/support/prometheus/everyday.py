"""A day of a small hub in seconds: whatever a panel shows happens once, so that none is empty."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from threading import Thread
from typing import Any, Final

from ops.client import MllpClient
from ops.simulate.sample import sample_message
from ops.simulate.simulation import Simulation
from schemas.errors import TransientError
from tests.support.product import Embedded, Laboratory

START: Final = datetime(2026, 1, 5, 8, tzinfo=UTC)
SENDER: Final = "990010001"
"""Who sends the sample message."""
_PCR: Final = "94500-6^SARS-CoV-2 ARN [Présence] Respiratoire ; PCR^LN"
_CODED: Final = f"|CWE|{_PCR}||260373001^Détecté^SCT|||POS|"
_UNKNOWN: Final = f"|ST|{_PCR}||Vu net||||"
ENV: Final = {
    "LABDISPATCH_FIGURES_WRITE_SECONDS": "1",
    "LABDISPATCH_LOOP_REPEATS": "3",
    "LABDISPATCH_LIMIT_PAUSE_SECONDS": "0.05",
}
"""Settings of an instance whose day is short."""
_WAIT_SECONDS: Final = 90


def one(number: int, *, day: str = "20260306", **changes: str) -> bytes:
    """Return the sample message as one of its own: order, control id, and day of sampling."""
    text = sample_message().decode()
    text = text.replace("L0001-20260306-0001", f"DAY-{number}")
    text = text.replace("PR-889", f"PR-{number}").replace("LAB-5567", f"LAB-{number}")
    text = text.replace("202603060745", f"{day}0745")
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text.encode()


class _Takes(BaseHTTPRequestHandler):
    """A receiver that takes whatever comes."""

    def do_POST(self) -> None:
        """Take it."""
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its base says so
        """Say nothing."""


class EverydayHub:
    """What happens at a running instance; `stop` ends whoever follows.

    Args:
        hub: The instance; it runs with `ENV`.
    """

    def __init__(self, hub: Embedded) -> None:
        self._hub = hub
        self._tokens: dict[str, str] = json.loads((hub.data_dir / "tokens.json").read_text())
        self._base = f"http://127.0.0.1:{hub.http_port}"
        self._is_over = False
        self._followers: list[Thread] = []
        self._receiver = ThreadingHTTPServer(("127.0.0.1", 0), _Takes)
        self._receiver.daemon_threads = True
        Thread(target=self._receiver.serve_forever, args=(0.1,), daemon=True).start()

    @property
    def operator_token(self) -> str:
        """The operator's."""
        return self._tokens["operator"]

    async def pass_once(self, results: int = 200) -> None:
        """Let everything happen."""
        await self._first_word()
        self._administer()
        self._follow()
        await asyncio.gather(self._results(results), self._oddities())
        await asyncio.to_thread(self._decide)
        # The database dies and comes back: errors everywhere, and all laboratories are looked at.
        os.kill(self._hub.postmaster(), signal.SIGQUIT)
        await asyncio.sleep(1)
        await asyncio.to_thread(self._until_ready)

    async def go_on(self, seconds: float) -> None:
        """Send, read and repeat for a while, so that what is counted grows."""
        until = time.monotonic() + seconds
        # Of many persons: one with a thousand reports is no load of any day.
        simulation = Simulation(seed=12, labs=4, start_at=START)
        raws = (each.raw for each in simulation.messages() if each.expected == "AA")
        while time.monotonic() < until:
            with contextlib.suppress(TransientError):
                async with MllpClient("127.0.0.1", self._hub.mllp_port) as client:
                    for raw in islice(raws, 20):
                        await client.send(raw)
                await self._oddities()
            await asyncio.sleep(0.5)

    def stop(self) -> None:
        """End whoever follows."""
        self._is_over = True
        for each in self._followers:
            each.join(10)
        self._receiver.shutdown()
        self._receiver.server_close()

    # ------------------------------------------------------------------ what happens

    async def _first_word(self) -> None:
        """Make the laboratory known, so that it can be given a state and a quota."""
        async with MllpClient("127.0.0.1", self._hub.mllp_port) as client:
            assert (await client.send(one(1))).code == "AA"
        self._hub.drained()

    def _administer(self) -> None:
        for words in (
            ("labs", "state", SENDER, "live"),
            ("labs", "quota", SENDER, "--daily", "100000"),
            (
                "receivers", "add", "nobody-there", "--kind", "webhook", "--from", "start",
                "--stream", "public-health", "--url", f"http://127.0.0.1:{_closed_port()}/hub",
            ),
            (
                "receivers", "add", "paused", "--kind", "webhook", "--stream", "public-health",
                "--url", f"http://127.0.0.1:{_closed_port()}/hub",
            ),
            ("receivers", "pause", "paused"),
            (
                "receivers", "add", "there", "--kind", "webhook", "--stream", "public-health",
                "--url", f"http://127.0.0.1:{self._receiver.server_address[1]}/hub",
            ),
        ):  # fmt: skip
            done = self._hub.look(*words, "--reason", "a day of tests")
            assert done.returncode == 0, (words, done.stdout, done.stderr)

    def _follow(self) -> None:
        follower = Thread(target=self._read, args=("public-health", "follow=true"), daemon=True)
        follower.start()
        self._followers.append(follower)

    async def _results(self, count: int) -> None:
        simulation = Simulation(seed=11, labs=4, start_at=START)
        messages = [m for m in islice(simulation.messages(), count) if m.expected in {"AA", "AE"}]
        await asyncio.gather(
            *(
                Laboratory(self._hub.mllp_port).send(
                    ((m.control_id, m.raw) for m in messages if m.lab_index == lab),
                    pause_seconds=0.01,
                )
                for lab in range(4)
            )
        )

    async def _oddities(self) -> None:
        """What goes wrong on any day, at the doors."""
        port = self._hub.mllp_port
        async with MllpClient("127.0.0.1", port) as client:
            for _ in range(5):  # a loop, and duplicates
                await client.send(one(2))
            await client.send(one(3, VALI="PROV"))
            # Somebody else's card; a second line without its first; a word that nobody knows.
            await client.send(one(4, DOMINIQUE="LEO", **{"19790328|F": "20190502|M"}))
            # And one more of them: a steward decides about one, the other waits.
            await client.send(one(10, DOMINIQUE="ZOE", **{"19790328|F": "20110714|F"}))
            await client.send(
                one(5, day="20250306", **{"94500-6^SARS-CoV-2 ARN": "94764-8^Genome"})
            )
            await client.send(one(6, day="20240306", **{_CODED: _UNKNOWN}))
            await client.send(one(7, **{"ORU^R01": "ORU^R99"}))
        await asyncio.to_thread(self._speak_http_to, port)
        await asyncio.to_thread(self._read, "public-health", "limit=5")
        await asyncio.to_thread(self._ask, "/v1/streams/dossier")
        file = b"".join(one(number) for number in (8, 9))
        await asyncio.to_thread(self._ask, "/v1/batches?name=day.hl7", file)

    def _decide(self) -> None:
        """A steward says that two who used one card are different."""
        self._hub.drained()
        made = self._told("/v1/review/stewards", self.operator_token, {"name": "day"})
        token = made["token"]
        items = self._told("/v1/review", token)
        assert items, "a card that was used by two waits for a steward"
        self._told(f"/v1/review/{items[0]['item']}/verdict", token, {"verdict": "different"})

    # ------------------------------------------------------------------ over the wire

    def _speak_http_to(self, port: int) -> None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as wire:
            wire.settimeout(5)
            wire.sendall(b"GET / HTTP/1.1\r\n\r\n")
            wire.recv(100)

    def _told(self, path: str, token: str, body: dict[str, str] | None = None) -> Any:
        headers = {
            "Authorization": f"Bearer {token}",
            "X-Reason": "a day of tests",
            "Content-Type": "application/json",
        }
        sent = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, sent, headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def _ask(self, path: str, body: bytes | None = None) -> None:
        headers = {} if body is None else {"Content-Type": "application/hl7-v2+er7"}
        request = urllib.request.Request(self._base + path, body, headers)
        with contextlib.suppress(urllib.error.URLError):
            urllib.request.urlopen(request, timeout=30).close()

    def _read(self, stream: str, query: str) -> None:
        """Read a stream; who follows goes on until the day is over."""
        headers = {"Authorization": f"Bearer {self._tokens[stream]}"}
        request = urllib.request.Request(f"{self._base}/v1/streams/{stream}?{query}", None, headers)
        while not self._is_over:
            with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=1) as answer:
                _until(lambda: self._is_over, iter(answer.readline, b""))
            if "follow" not in query:
                return
            time.sleep(0.2)

    def _until_ready(self) -> None:
        until = time.monotonic() + _WAIT_SECONDS
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{self._base}/readyz", timeout=5).close()
                return
            assert time.monotonic() < until, "the api process does not come back"
            time.sleep(0.2)


def _until(is_over: Callable[[], bool], lines: Iterator[bytes]) -> None:
    for _ in lines:
        if is_over():
            return


def _closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
