"""HAPI HL7v2 reads every answer of the door: one Java for many messages. Missing Java fails."""

from __future__ import annotations

import subprocess
from base64 import b64encode

from hypothesis import HealthCheck, given, settings

from ops.kit import java
from tests.support.acknowledged import Acknowledged, acknowledged
from tests.support.hapi.resolve import READER, resolve

MESSAGES = 400
CHARSETS = {"ascii": "US-ASCII", "utf-8": "UTF-8", "iso8859-1": "ISO-8859-1"} | {
    "iso8859-15": "ISO-8859-15"
}


def made() -> list[Acknowledged]:
    """Make answers of many dialects, versions, modes and rulings, the same at each run."""
    found: list[Acknowledged] = []

    @given(acknowledged())
    @settings(
        max_examples=MESSAGES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def collect(answers: list[Acknowledged]) -> None:
        found.extend(answers)

    collect()
    return found


def test_hapi_reads_every_answer() -> None:
    answers = made()
    assert len(answers) >= MESSAGES // 2
    lines = [f"{CHARSETS[one.codec]} {b64encode(one.answer).decode('ascii')}\n" for one in answers]
    said = subprocess.run(
        [java(), "-cp", f"{resolve()}/*", str(READER)],
        input="".join(lines),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    verdicts = [line for line in said.stdout.splitlines() if line.startswith(("ok\t", "failed\t"))]
    assert len(verdicts) == len(answers), said.stderr[-2_000:]
    for one, verdict in zip(answers, verdicts, strict=True):
        found, *parts = verdict.split("\t")
        assert found == "ok", (verdict, one.answer)
        segments = str(one.answer.count(b"\r"))
        assert parts == ["ACK", one.version, one.code, one.control_id, segments]
