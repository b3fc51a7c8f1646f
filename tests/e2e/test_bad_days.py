"""Cuts end like no cuts; a database that dies; and no name in anything that is told."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from ops.client import MllpClient
from ops.simulate.sample import sample_message
from ops.simulate.simulation import SimulatedMessage, Simulation
from tests.e2e.test_road import ask
from tests.support.conservation import Ledger, check_conservation, final_state
from tests.support.load import simulated, under_load
from tests.support.product import Embedded, Laboratory, command_line

START = datetime(2026, 1, 5, 8, tzinfo=UTC)
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
CANARY = "ZANZIBARQUOLL"


@pytest.fixture
def instance() -> Iterator[Embedded]:
    made = Embedded()
    try:
        yield made.start()
    finally:
        made.remove()


# ---------------------------------------------------------------------------- cuts


class CutLaboratory(Laboratory):
    """Its network is bad: before a message comes through, the connection is cut somewhere."""

    def __init__(self, port: int, rng: random.Random) -> None:
        super().__init__(port)
        self._rng = rng
        self.cuts = 0

    async def send_through_cuts(self, messages: Sequence[SimulatedMessage]) -> None:
        for message in messages:
            if self._rng.random() < 0.6:
                await self._cut(message.raw)
            await self.send([(message.control_id, message.raw)])

    async def _cut(self, raw: bytes) -> None:
        """Send a part of the frame, or all of it, and go without waiting for the answer."""
        frame = b"\x0b" + raw + b"\x1c\r"
        sent = self._rng.choice([self._rng.randrange(1, len(frame)), len(frame)])
        _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(frame[:sent])
        await writer.drain()
        if self._rng.random() < 0.5:
            writer.transport.abort()
        writer.close()
        self.cuts += 1


def _comparable(ledger: Ledger) -> dict[str, list[str]]:
    """What the streams hold in the end, without what differs from instance to instance."""
    found = {}
    for name, held in final_state(ledger).items():
        texts = []
        for body in held.values():
            if isinstance(body, dict):
                for keyed in ("pseudonym", "case_id"):
                    body.pop(keyed, None)
                if "entry" in body:  # of a Bundle all but when it was made
                    body["entry"] = body["entry"][:-1]
            texts.append(UUID.sub("-", json.dumps(body, sort_keys=True)))
        found[name] = sorted(texts)
    return found


async def test_any_cut_and_a_resend_end_like_no_cut() -> None:
    """The order of preliminary, final and corrected included: the last version is the same."""
    simulation = Simulation(seed=17, labs=1, start_at=START)
    messages = [
        m for m in islice(simulation.messages(), 100) if m.expected == "AA" and m.control_id
    ]
    states = []
    for rng in (None, random.Random(1)):
        instance = Embedded()
        try:
            instance.start()
            laboratory = CutLaboratory(instance.mllp_port, rng or random.Random(0))
            if rng is None:
                await laboratory.send([(m.control_id, m.raw) for m in messages])
            else:
                await laboratory.send_through_cuts(messages)
                assert laboratory.cuts > 30
            # What was cut after its last byte may be in the log without an answer.
            journal = [*laboratory.journal, *((m.control_id, "") for m in messages)]
            states.append(_comparable(check_conservation(instance, journal)))
        finally:
            instance.remove()
    assert states[0] == states[1]
    assert all(states[0].values())


# ---------------------------------------------------------------------------- the database dies


async def test_processes_are_drained_and_the_database_is_killed_under_load(
    instance: Embedded,
) -> None:
    """Nothing that was accepted is lost or refused; each drained process ends in order."""

    async def drain_them_and_kill_the_database() -> None:
        for name in ("ingest", "dispatch", "api"):
            done = await asyncio.to_thread(instance.look, "drain", name)
            assert "ended in order" in done.stdout, done.stderr
        for _ in range(2):
            await asyncio.sleep(0.7)
            before = instance.postmaster()
            os.kill(before, signal.SIGKILL)
            async with asyncio.timeout(120):
                while _postmaster(instance) in {before, None}:
                    await asyncio.sleep(0.05)

    ledger = await under_load(instance, simulated(23, 150), drain_them_and_kill_the_database)
    assert ledger.account["parked"] == 0
    log = (instance.data_dir / "logs" / "ingest.log").read_text()
    assert "station_stopped" in log, "ended with code 0"
    assert instance.look("drain", "nobody").returncode == 1


def _postmaster(instance: Embedded) -> int | None:
    try:
        return instance.postmaster()
    except (OSError, ValueError, IndexError):
        return None


# ---------------------------------------------------------------------------- no name in anything


def _canary(control_id: str, *changes: tuple[str, str]) -> bytes:
    text = sample_message().decode().replace("PAT-TROIS", CANARY).replace("DOMINIQUE", CANARY)
    text = text.replace("L0001-20260306-0001", control_id)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text.encode()


def _bad_messages() -> list[bytes]:
    pid = f"\rPID|1||X^^^{CANARY}^PI||{CANARY}"
    return [
        _canary("K-1"),
        _canary("K-1", ("|F\r", "|C\r")),  # the same control id with other bytes
        _canary("K-2", ("\rPID|", "\rZID|")),  # no patient: AE
        _canary("K-3", ("\rOBR|", "\rZBR|")),  # no order: AE
        _canary("K-4", ("|94500-6^", f"|{CANARY * 30}^")),  # a code too long: parked
        _canary("K-5", ("ORU^R01^ORU_R01", "ADT^A01^ADT_A01")),  # AR
        _canary("K-6", ("2.5.1", "9.9")),  # AR
        _canary("K-7", ("19790328", CANARY), ("20260306074500+0100", CANARY)),
        _canary("K-8", ("279035121518989", "279035121518900")),  # a wrong key
        _canary("K-9", ("UNICODE UTF-8", "ASCII")),  # not of that character set: AE
        _canary(CANARY),
        pid[1:].encode(),  # no MSH
        b"MSH|^~\\&|" + CANARY.encode() + b"\r",
        f"MSH|^~\\&|A|B|C|D|2026||ORU^R01|K-10|T|2.5{pid}\r".encode(),
    ]


async def test_a_name_is_in_no_log_metric_answer_account_or_trace(instance: Embedded) -> None:
    told: list[bytes] = []
    base = f"http://127.0.0.1:{instance.http_port}"
    for raw in _bad_messages():
        async with MllpClient("127.0.0.1", instance.mllp_port) as client:
            told.append((await client.send(raw)).raw.replace(b"MSA|", b"\rMSA|"))
        told.append(ask(f"{base}/v1/messages", raw, Content_Type="application/hl7-v2+er7")[2])
    huge = _canary("K-11") + b"NTE|1||" + CANARY.encode() * 700_000
    async with MllpClient("127.0.0.1", instance.mllp_port) as client:
        told.append((await client.send(huge)).raw)
    told.append(ask(f"{base}/v1/streams/dossier?after={CANARY}")[2])
    account = instance.drained()
    assert account["parked"] >= 1
    assert account["refused"] >= 2
    parked = next(t for t in instance.trace(["K-4"]) if _ending(t) == "parked")
    done = instance.look(
        "replay", parked["message_id"], "--reason", "the canary goes round", "--actor", "a test"
    )
    assert done.returncode == 0, done.stderr
    instance.drained()
    told += [
        ask(f"{base}/metrics")[2],
        json.dumps(instance.account()).encode(),
        instance.look("account").stdout.encode(),
        *(json.dumps(instance.trace([f"K-{n}"])).encode() for n in range(1, 11)),
        instance.look("trace", "K-1").stdout.encode(),
        instance.look("parked", "list").stdout.encode(),
        instance.look("parked", "show", parked["message_id"], "--json").stdout.encode(),
        instance.look("account", "days", "--json").stdout.encode(),
        instance.look(
            "replay", "--from", "2020-01-01", "--to", "2099-01-01", "--dry-run"
        ).stdout.encode(),
        command_line(
            "send", "/dev/null", "--to", f"127.0.0.1:{instance.mllp_port}"
        ).stdout.encode(),
    ]
    assert instance.stop() == 0
    logs = sorted((instance.data_dir / "logs").glob("*"))
    assert {"ingest.log", "dispatch.log", "api.log"} <= {path.name for path in logs}
    for text in told:
        # An answer echoes what stands in MSH: the header names systems, never a patient.
        body = b"\r".join(line for line in text.split(b"\r") if not line.startswith(b"MSH"))
        assert CANARY.encode() not in body.replace(b"|" + CANARY.encode() + b"\r", b""), body[:300]
    for path in (*logs, *_database_logs(instance)):
        assert CANARY.encode() not in path.read_bytes(), path.name


def _ending(held: dict[str, Any]) -> str:
    return next(str(s["ending"]) for s in held["stations"] if s["station"] == "outcome")


def _database_logs(instance: Embedded) -> list[Path]:
    home = json.loads((instance.data_dir / "postgres.json").read_text())["home"]
    found = [path for path in Path(home, "log").glob("*") if path.is_file()]
    assert found
    return found
