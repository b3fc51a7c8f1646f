"""`send` and `simulate`: laboratories' side of the road."""

from __future__ import annotations

import asyncio
import secrets
import signal
import ssl
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Final

import msgspec

from ops.checking.shapes import for_terminal
from ops.client import Acknowledgement, MllpClient
from ops.printing import print_json
from ops.simulate.simulation import SimulatedMessage, Simulation
from ops.splitting import split_file
from schemas.errors import FatalError, TransientError

_LEAD: Final = timedelta(days=7)
_RETRY_SECONDS: Final = 0.5
_RETRIES: Final = 240


class SimulateOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What `labdispatch simulate` was asked for."""

    labs: int
    rate: float
    count: int | None
    seed: int | None
    truth: Path | None
    journal: Path | None
    as_json: bool


def client_tls(ca: Path | None, cert: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """Return what a laboratory shows and whom it trusts; None where nothing is named: clear text.

    Raises:
        FatalError: Files that do not fit together (`tls_files_invalid`).
    """
    if ca is None and cert is None and key is None:
        return None
    if (cert is None) != (key is None):
        raise FatalError("tls_files_invalid", "--cert and --key come together")
    try:
        context = ssl.create_default_context(cafile=None if ca is None else str(ca))
        if cert is not None:
            context.load_cert_chain(cert, key, password=lambda: "")
    except (OSError, ValueError):
        raise FatalError(
            "tls_files_invalid", "--tls-ca, --cert and --key are PEM, the key without a password"
        ) from None
    return context


async def send_file(
    file: Path, address: tuple[str, int], *, as_json: bool, tls: ssl.SSLContext | None = None
) -> int:
    """Send every message of a file over one connection; give 1 unless all were acknowledged.

    Raises:
        TransientError: Nobody listens, or the connection ended without an answer.
    """
    codes: Counter[str] = Counter()
    started = time.monotonic()
    async with MllpClient(*address, tls=tls) as client:
        for message in split_file(await asyncio.to_thread(file.read_bytes)):
            answer = await client.send(message)
            codes[answer.code or "unreadable"] += 1
            _print_answer(answer, as_json=as_json)
    total = sum(codes.values())
    if not as_json:
        shown = ", ".join(f"{code} {n}" for code, n in sorted(codes.items()))
        seconds = time.monotonic() - started
        sys.stdout.write(f"{total} messages in {seconds:.2f} s: {shown or 'none in the file'}\n")
    return 0 if total and set(codes) <= {"AA", "CA"} else 1


def _print_answer(answer: Acknowledgement, *, as_json: bool) -> None:
    if as_json:
        line = {"control_id": answer.control_id, "code": answer.code}
        print_json(line)
        return
    errors = [
        for_terminal(line.decode("utf-8", "replace"))
        for line in answer.raw.replace(b"\n", b"\r").split(b"\r")
        if line.startswith(b"ERR")
    ]
    sys.stdout.write(f"{answer.code or '??'}  {for_terminal(answer.control_id)}\n")
    sys.stdout.writelines(f"    {error}\n" for error in errors)


class _Sender:
    """One laboratory's connection: sends in order, sends again what got no answer."""

    def __init__(self, address: tuple[str, int], run: _Run) -> None:
        self._client = MllpClient(*address)
        self._run = run
        self.queue: asyncio.Queue[SimulatedMessage | None] = asyncio.Queue(maxsize=64)

    async def work(self) -> None:
        """Send what is queued until told that there is no more."""
        while (message := await self.queue.get()) is not None:
            answer = await self._until_answered(message)
            self._run.note(message, answer)
        await self._client.close()

    async def _until_answered(self, message: SimulatedMessage) -> Acknowledgement:
        for _ in range(_RETRIES):
            try:
                answer = await self._client.send(message.raw)
            except TransientError:
                self._run.unanswered += 1
            else:
                if answer.code not in {"AR", "CR"} or message.expected in {"AR", "CR"}:
                    return answer
                self._run.turned_away += 1
            await asyncio.sleep(_RETRY_SECONDS)
        raise TransientError("hub_unreachable", "no answer for two minutes; is the hub running?")


class _Run:
    """Counts and journals of one simulation."""

    def __init__(self, journal: IO[bytes] | None) -> None:
        self.codes: Counter[str] = Counter()
        self.unexpected = 0
        self.unanswered = 0
        self.turned_away = 0
        self._journal = journal

    def note(self, message: SimulatedMessage, answer: Acknowledgement) -> None:
        """Count an answer and write it to the journal."""
        self.codes[answer.code or "unreadable"] += 1
        if not _as_expected(message.expected, answer.code):
            self.unexpected += 1
        if self._journal is not None:
            line = {
                "control_id": message.control_id,
                "lab": message.lab_index,
                "kind": message.kind,
                "code": answer.code,
            }
            self._journal.write(msgspec.json.encode(line) + b"\n")


def _as_expected(expected: str, code: str) -> bool:
    return code[-1:] == expected[-1:]


async def send_simulation(options: SimulateOptions, address: tuple[str, int]) -> int:
    """Send a simulation; give 1 when an answer was not what the message deserves.

    Raises:
        TransientError: The hub cannot be reached for two minutes.
    """
    seed = secrets.randbits(31) if options.seed is None else options.seed
    # Simulated time passes faster than ours: what began now would soon be of days to come, and
    # counted on the day of its reception (`collected_in_the_future`).
    began = datetime.now(UTC).replace(microsecond=0) - _LEAD
    simulation = Simulation(seed=seed, labs=options.labs, start_at=began)
    if options.truth is not None:
        simulation.record_truth(options.truth)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    journal = options.journal.open("wb") if options.journal else None
    run = _Run(journal)
    started = time.monotonic()
    senders = [_Sender(address, run) for _ in range(options.labs)]
    async with asyncio.TaskGroup() as group:
        for sender in senders:
            group.create_task(sender.work())
        await _feed(simulation.messages(), senders, options, stopping)
        for sender in senders:
            await sender.queue.put(None)
    if journal is not None:
        journal.close()
    _print_summary(run, seed, time.monotonic() - started, as_json=options.as_json)
    return 0 if run.unexpected == 0 else 1


async def _feed(
    messages: Iterator[SimulatedMessage],
    senders: list[_Sender],
    options: SimulateOptions,
    stopping: asyncio.Event,
) -> None:
    """Give each message to its laboratory's sender, at the rate asked for."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for sent, message in enumerate(messages):
        if stopping.is_set() or (options.count is not None and sent >= options.count):
            return
        await senders[message.lab_index].queue.put(message)
        if options.rate > 0:
            ahead = began + (sent + 1) / options.rate - loop.time()
            if ahead > 0:
                await _wait(stopping, ahead)


async def _wait(stopping: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return


def _print_summary(run: _Run, seed: int, seconds: float, *, as_json: bool) -> None:
    total = sum(run.codes.values())
    summary = {
        "seed": seed,
        "messages": total,
        "seconds": round(seconds, 3),
        "codes": dict(sorted(run.codes.items())),
        "unexpected": run.unexpected,
        "sent_again_unanswered": run.unanswered,
        "sent_again_turned_away": run.turned_away,
    }
    if as_json:
        print_json(summary)
        return
    codes = ", ".join(f"{code} {n}" for code, n in sorted(run.codes.items()))
    sys.stdout.write(
        f"seed {seed}: {total} messages in {seconds:.1f} s: {codes};"
        f" {run.unexpected} answers not as deserved,"
        f" {run.unanswered + run.turned_away} sent again\n"
    )
