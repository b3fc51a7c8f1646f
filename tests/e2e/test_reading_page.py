"""docs/reading.md tells the truth: every example runs as it stands, on a hub with results.

What each gives is compared with the fold of the whole stream, computed here. The contracts are
asked of the same running hub: it serves the golden documents, and its doors are as closed as they
say.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from ops.contracts.access import OPTIONAL, access_of
from ops.schemas_page import FOLDER
from ops.simulate.sample import sample_message
from ops.simulate.simulation import Simulation
from tests.support.product import Embedded, Laboratory
from tests.support.r.resolve import program as r_program

PAGE = (Path(__file__).parents[2] / "docs" / "reading.md").read_text("utf-8")
EXAMPLES: dict[str, str] = dict(
    re.findall(r"^<!-- runs: ([a-z-]+) -->\n```[a-z]+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
)
ELSEWHERE = {"kafka"}
"""Run beside a broker: tests/e2e/test_streams_page.py."""
CONDITION = "sars-cov-2"
PATIENCE_SECONDS = 180.0
PUBLISHED_SECONDS = 500.0
"""An extraction is some seconds of one core, of a process that lets all others go first."""


class Reading:
    """A hub with results, its token, and what an honest reader holds of it."""

    def __init__(self, product: Embedded, folder: Path) -> None:
        self.product, self.folder = product, folder
        self.url = f"http://127.0.0.1:{product.http_port}"
        self.token = json.loads((product.data_dir / "tokens.json").read_text())["public-health"]

    def env(self, **more: str) -> dict[str, str]:
        bin_folder = str(Path(sys.executable).parent)
        return {
            **os.environ,
            **self.product.env,
            "HUB": self.url,
            "TOKEN": self.token,
            "PATH": f"{bin_folder}:{os.environ['PATH']}",
            "LABDISPATCH_DATA_DIR": str(self.product.data_dir),
            **more,
        }

    def run(self, name: str, after: str = "") -> str:
        """Run an example to its end, with something behind it; return what it prints."""
        code = EXAMPLES[name].rstrip("\n") + after
        if name == "r":  # reads a file
            (self.folder / "example.R").write_text(code)
            code = "example.R"
        done = subprocess.run(
            [*_program(name), code],
            cwd=self.folder,
            env=self.env(),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
        assert done.returncode == 0, f"{name}: {done.stderr}"
        return done.stdout

    def events(self) -> list[dict[str, Any]]:
        return self.product.stream("public-health")

    def rows(self) -> list[dict[str, Any]]:
        """The bodies that stand: of each part the highest version, if not withdrawn."""
        return standing(self.events())


def standing(events: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    held: dict[tuple[str, str], Mapping[str, Any]] = {}
    for event in sorted(events, key=lambda each: each["event_version"]):
        held[event["report_id"], event["part"]] = event
    return [dict(each["body"]) for each in held.values() if each["kind"] != "withdrawn"]


def _program(name: str) -> list[str]:
    fence = re.search(rf"^<!-- runs: {name} -->\n```([a-z]+)$", PAGE, re.MULTILINE)
    assert fence is not None
    if fence[1] == "r":
        return [str(r_program())]
    return {
        "bash": ["bash", "-euo", "pipefail", "-c"],
        "python": [sys.executable, "-W", "error", "-c"],
        "js": ["node", "--input-type=module", "-e"],
    }[fence[1]]


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reading]:
    product = Embedded()
    try:
        product.start()
        asyncio.run(_filled(product))
        product.drained()
        yield Reading(product, tmp_path_factory.mktemp("reader"))
    finally:
        product.remove()


async def _filled(product: Embedded) -> None:
    simulation = Simulation(seed=8, labs=4, start_at=datetime(2026, 1, 5, 8, tzinfo=UTC))
    messages = [m for m in islice(simulation.messages(), 500) if m.expected == "AA"]
    for lab in range(4):
        laboratory = Laboratory(product.mllp_port)
        await laboratory.send((m.control_id, m.raw) for m in messages if m.lab_index == lab)


def new_cases(rows: Sequence[Mapping[str, Any]]) -> Counter[tuple[str, str]]:
    """New cases by ISO week and department, the straight way."""
    return Counter(
        (week_of(row["sampled_on"]), row["residence_department"])
        for row in rows
        if row["record"] == "result" and row["condition"] == CONDITION and row["new_case"]
    )


def week_of(day: str) -> str:
    year, week, _ = date.fromisoformat(day).isocalendar()
    return f"{year}-W{week:02}"


def table_of(text: str) -> list[list[str]]:
    """The rows of a CSV, without its first."""
    return [row for row in csv.reader(io.StringIO(text.strip())) if row][1:]


def test_there_is_something_to_read(reading: Reading) -> None:
    kinds = Counter(event["kind"] for event in reading.events())
    assert kinds["published"] > 100
    assert len(new_cases(reading.rows())) > 5


# ---------------------------------------------------------------- HTTP


def test_curl_pages(reading: Reading) -> None:
    reading.run("curl-page")
    first, rest = (
        [json.loads(line) for line in (reading.folder / f"{name}.ndjson").read_text().splitlines()]
        for name in ("first", "rest")
    )
    assert len(first) == 100
    wanted = sorted(event["event_id"] for event in reading.events())
    assert sorted(event["event_id"] for event in first + rest) == wanted


def test_curl_filters_what_stands(reading: Reading) -> None:
    reading.run("curl-filter")
    lines = (reading.folder / "positive.ndjson").read_text().splitlines()
    events = [each for each in map(json.loads, lines) if "report_id" in each]
    found = [body for body in standing(events) if body["record"] == "result"]
    wanted = [
        row
        for row in reading.rows()
        if row["record"] == "result"
        and (row["condition"], row["result"]) == (CONDITION, "positive")
    ]
    assert sorted(map(json.dumps, found)) == sorted(map(json.dumps, wanted))
    assert wanted


@pytest.mark.parametrize("name", ["httpx", "pandas", "polars"])
def test_python_over_http_counts_what_an_honest_reader_counts(reading: Reading, name: str) -> None:
    printed = reading.run(name)
    rows = reading.rows()
    if name == "httpx":
        found = json.loads(printed)
        assert sorted(map(json.dumps, found)) == sorted(map(json.dumps, rows))
    elif name == "pandas":
        table = {(week, place): int(count) for week, place, count in table_of(printed)}
        assert table == new_cases(rows)
    else:
        first = [
            row
            for row in rows
            if row["record"] == "result" and (row["condition"], row["line"]) == (CONDITION, "first")
        ]
        tests = Counter(row["age_class"] for row in first)
        positive = Counter(row["age_class"] for row in first if row["result"] == "positive")
        assert {age: (int(t), int(p)) for age, t, p in table_of(printed)} == {
            age: (tests[age], positive[age]) for age in tests
        }


@pytest.mark.parametrize("name", ["curl-follow", "curl-sse", "httpx-follow", "fetch"])
def test_who_follows_gets_what_comes(reading: Reading, name: str) -> None:
    """The follower stands at the end; then a result comes, and it must be told of it."""
    end = reading.events()[-1]["cursor"]
    number = f"{list(EXAMPLES).index(name):04}"
    follower = subprocess.Popen(
        [*_program(name), EXAMPLES[name]],
        cwd=reading.folder,
        env=reading.env(CURSOR=end),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    ends = threading.Timer(PATIENCE_SECONDS, follower.kill)
    ends.start()
    try:
        _send(reading, number)
        assert follower.stdout is not None
        for line in follower.stdout:
            if "published" in line and CONDITION in line:
                break
        else:
            assert follower.stderr is not None
            raise AssertionError(f"{name} ended without the result: {follower.stderr.read()}")
    finally:
        ends.cancel()
        follower.kill()
        follower.communicate()


def _send(reading: Reading, number: str) -> None:
    """Send a positive of a day on which nobody else of these tests was sampled."""
    message = sample_message().replace(b"L0001-20260306-0001", f"READ-{number}".encode())
    message = message.replace(b"PR-889", f"PR-{number}".encode())
    message = message.replace(b"LAB-5567", f"LAB-{number}".encode())

    async def send() -> None:
        await Laboratory(reading.product.mllp_port).send([(f"READ-{number}", message)])

    asyncio.run(send())


# ---------------------------------------------------------------- files


@pytest.fixture(scope="module")
def exported(reading: Reading) -> Counter[tuple[str, str]]:
    """Export, and return the new cases of that moment: others send meanwhile."""
    reading.run("export")
    extraction = json.loads((reading.folder / "results" / "_manifest.json").read_text())
    until = datetime.fromisoformat(extraction["extracted_at"])
    events = [
        each for each in reading.events() if datetime.fromisoformat(each["emitted_at"]) <= until
    ]
    return new_cases(standing(events))


@pytest.mark.parametrize("name", ["duckdb", "parquet-polars", "parquet-pandas"])
def test_parquet_counts_what_an_honest_reader_counts(
    reading: Reading, exported: Counter[tuple[str, str]], name: str
) -> None:
    found = {(week, place): int(count) for week, place, count in table_of(reading.run(name))}
    assert found == exported


def test_csv_counts_what_an_honest_reader_counts(
    reading: Reading, exported: Counter[tuple[str, str]]
) -> None:
    """By itself, and by R."""
    extraction = json.loads((reading.folder / "results" / "_manifest.json").read_text())
    reading.run("export-csv", after=f" --extraction {extraction['extraction']}")
    rows = [
        row
        for path in (reading.folder / "sheets" / "result").glob("*/*.csv")
        for row in csv.DictReader(io.StringIO(path.read_text("utf-8")))
        if row["condition"] == CONDITION and row["new_case"] == "true"
    ]
    found = Counter((week_of(row["sampled_on"]), row["residence_department"]) for row in rows)
    assert found == exported
    by_r = list(csv.reader(io.StringIO(reading.run("r"))))
    assert by_r[0] == ["week", "residence_department", "Freq"]
    assert {(week, place): int(count) for week, place, count in by_r[1:]} == exported


# ---------------------------------------------------------------- indicators


@pytest.mark.timeout(900)
def test_indicators_are_those_of_an_honest_reader_or_withheld(reading: Reading) -> None:
    events = _extracted(reading)
    printed = list(csv.DictReader(io.StringIO(reading.run("indicators"))))
    wanted: Counter[str] = Counter()
    for (week, _), count in new_cases(standing(events)).items():
        wanted[week.replace("-W", "-S")] += count
    told = {row["label"]: float(row["france"]) for row in printed if row["france"]}
    assert set(wanted) <= {row["label"] for row in printed}
    assert told
    for label, cases in told.items():
        assert cases == wanted[label], label


def _extracted(reading: Reading) -> list[dict[str, Any]]:
    """Have all that is there published; return the events of which that is."""
    until = time.monotonic() + PUBLISHED_SECONDS
    asked_at = None
    while True:
        events = reading.events()
        state = json.loads(reading.product.look("indicators", "extractions", "--json").stdout)
        newest = state["extractions"][0] if state["extractions"] else {"number": 0, "events": -1}
        if newest["events"] == len(events):
            return events
        assert time.monotonic() < until, f"{newest} of {len(events)} events are published"
        if not state["lag"] and asked_at != newest["number"]:
            asked = reading.product.look("indicators", "extract", "--actor", "t", "--reason", "r")
            assert asked.returncode == 0, asked.stderr
            asked_at = newest["number"]
        time.sleep(1)


# ---------------------------------------------------------------- the page itself


def test_every_example_is_run_by_a_test() -> None:
    source = Path(__file__).read_text("utf-8")
    for name in set(EXAMPLES) - ELSEWHERE:
        assert f'"{name}"' in source, name
    fences = re.findall(r"^```(python|js|bash|r)$", PAGE, re.MULTILINE)
    assert len(fences) == len(EXAMPLES), (
        "an example that nobody runs: mark it, or give it no language"
    )


def test_examples_are_short() -> None:
    for name, code in EXAMPLES.items():
        lines = [line for line in code.splitlines() if line and not line.startswith("import")]
        assert len(lines) <= 20, name


# ---------------------------------------------------------------- contracts


def ask(url: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(url, method=method.upper(), headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_a_running_hub_serves_the_golden_contracts(reading: Reading) -> None:
    golden = json.loads((FOLDER / "openapi.json").read_text("utf-8"))
    served = json.loads(ask(f"{reading.url}/docs/openapi.json")[1])
    assert served == golden, "a route is missing in ops/contracts_page.py"
    assert ask(f"{reading.url}/docs/asyncapi.json")[1] == (FOLDER / "asyncapi.json").read_bytes()
    assert b"</html>" in ask(f"{reading.url}/docs")[1]


def test_every_door_is_as_closed_as_the_contract_says(reading: Reading) -> None:
    golden = json.loads((FOLDER / "openapi.json").read_text("utf-8"))
    values = {
        "name": "public-health",
        "condition": CONDITION,
        "message": "018f2f6e-0000-7000-8000-000000000002",
        "day": "2026-11-01",
        "first_day": "2026-11-01",
        "report": "018f2f6e-0000-7000-8000-000000000001",
    }
    for path, item in golden["paths"].items():
        filled = re.sub(r"\{(\w+)\}", lambda found: values.get(found[1], "1"), path)
        for method, operation in item.items():
            status, body = ask(f"{reading.url}{filled}", method)
            schemes = access_of(path)
            if not schemes or OPTIONAL in schemes:
                assert status != 401, (method, path)
                continue
            # The framework looks at a body before the handler looks at a token.
            looked_at = {400} if "requestBody" in operation else set()
            assert status in {401} | looked_at, (method, path, status)
            assert json.loads(body)["status"] == status
