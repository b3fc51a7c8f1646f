"""docs/streams.md says what is: its examples are the hub's; the ten lines run on a cluster too."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from ops.schemas_page import FOLDER as SCHEMAS
from ops.schemas_page import schema
from ops.streams_page import FOLDER, example, text
from routing.emitted import REVISION_REASONS, WITHDRAWAL_REASONS
from schemas.topics import STREAMS, Stream
from tests.support.json_schema import misfits
from tests.support.postgres import Database
from tests.support.relaying import PATIENCE_SECONDS, Relaying

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "streams.md").read_text("utf-8")
READING = (DOCS / "reading.md").read_text("utf-8")


def example_of(name: str) -> str:
    """The lines of docs/reading.md that read in one way."""
    (code,) = re.findall(
        rf"^<!-- runs: {name} -->\n```python\n(.*?)^```$", READING, re.MULTILINE | re.DOTALL
    )
    return str(code)


@pytest.mark.parametrize("stream", STREAMS)
def test_each_example_is_what_the_hub_makes_and_fits_the_schema(stream: Stream) -> None:
    held = (FOLDER / f"{stream.value}.json").read_text("utf-8")
    assert held == text(stream), "python -m ops.streams_page"
    assert misfits(schema(stream), example(stream)) == []


def test_the_page_shows_the_row_and_every_version_of_every_schema() -> None:
    (shown,) = re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert json.loads(shown) == example(Stream.PUBLIC_HEALTH)["body"]
    versions = json.loads((SCHEMAS / "versions.json").read_text("utf-8"))
    for stream in STREAMS:
        for each in versions[stream.value]:
            row = f"| `{stream.value}/{each['version']}` | {' '.join(each['changes'])} |"
            assert row in PAGE


def test_the_page_names_every_field_of_the_header() -> None:
    for name in schema(Stream.DOSSIER)["properties"]:
        assert f"`{name}`" in PAGE, name


def test_the_page_names_every_reason() -> None:
    for reason in WITHDRAWAL_REASONS | REVISION_REASONS | {"new", "moved", "no_longer_due"}:
        assert f"`{reason}`" in PAGE, reason


def run_as_written(code: str, **environment: str) -> list[dict[str, object]]:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    found: list[dict[str, object]] = json.loads(done.stdout)
    return found


async def test_the_ten_lines_read_every_event_from_kafka_and_over_http(
    database: Database, kafka_bootstrap: str, unique_topic_prefix: str, tmp_path: Path
) -> None:
    hub = Relaying(database.connect_kwargs, kafka_bootstrap, unique_topic_prefix, tmp_path)
    stream = Stream.PUBLIC_HEALTH
    try:
        await hub.make()
        await hub.fill(150)
        hub.start("relay")
        hub.start("api")
        await hub.caught_up([stream])
        wanted = sorted(place[2] for place in await hub.outbox(stream))
        by_kafka = await asyncio.to_thread(
            run_as_written,
            example_of("kafka"),
            TOPIC=f"{unique_topic_prefix}{stream}",
            BROKERS=kafka_bootstrap,
        )
        url = f"http://127.0.0.1:{hub.http_port}"
        await asyncio.to_thread(_until_ready, f"{url}/healthz")
        token = json.loads((hub.folder / "tokens.json").read_text())[stream.value]
        over_http = await asyncio.to_thread(
            run_as_written, example_of("httpx"), HUB=url, TOKEN=token
        )
    finally:
        await hub.close()
    assert sorted(str(event["event_id"]) for event in by_kafka) == wanted
    assert len(over_http) == len(wanted)


def _until_ready(url: str) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            assert time.monotonic() < until, "the API never answered"
            time.sleep(0.1)
