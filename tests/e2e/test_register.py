"""The operator's way: a laboratory's own codes, state and conformance, on a running product."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ops.client import MllpClient
from ops.simulate.sample import sample_message
from tests.e2e.test_road import ask
from tests.support.product import Embedded

SECONDS = 5.0
"""Within this a change reaches a running door; the clients below give it room besides."""
LAB = "990010001"
CANARY = "ZZCANARY"


@pytest.fixture(scope="module")
def product() -> Iterator[Embedded]:
    instance = Embedded()
    try:
        yield instance.start()
    finally:
        instance.remove()


@pytest.fixture
def fresh() -> Iterator[Embedded]:
    """A product that nobody else has sent to: its streams hold what this test sent alone."""
    instance = Embedded()
    try:
        yield instance.start()
    finally:
        instance.remove()


def result(number: int, value: str, facility: str = LAB) -> bytes:
    """A result whose OBX-5 is a text of the laboratory's own."""
    raw = sample_message().decode()
    raw = raw.replace("|260373001^Détecté^SCT|||POS|", f"|{value}||||").replace("|CWE|", "|ST|", 1)
    raw = raw.replace("L0001-20260306-0001", f"R-{facility}-{number}").replace(
        "|990010001|HUB", f"|{facility}|HUB"
    )
    return raw.replace("LAB-5567^", f"LAB-{number}^").encode()


async def send(product: Embedded, raw: bytes) -> str:
    async with MllpClient("127.0.0.1", product.mllp_port) as client:
        return (await client.send(raw)).code


def said(product: Embedded, *arguments: str) -> Any:
    done = product.look(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def results(product: Embedded) -> list[str]:
    return [event["body"]["result"] for event in product.stream("public-health") if event["body"]]


async def test_a_local_text_is_listed_mapped_and_then_in_the_stream(fresh: Embedded) -> None:
    assert await send(fresh, result(1, "VU FAIBLE")) == "AA"
    assert await send(fresh, result(2, f"{CANARY} 1979")) == "AA"
    fresh.drained()
    assert results(fresh) == []
    listed = said(fresh, "labs", "codes", LAB, "unmapped")
    assert [(v["text"], v["n"]) for v in listed["values"]] == [("VU FAIBLE", 1)]
    assert listed["withheld"] == 1
    added = fresh.look("labs", "codes", LAB, "add", "result", "vu  faible", "positive")
    assert added.returncode == 0, added.stderr
    assert "profile version 2" in added.stdout
    assert said(fresh, "labs", "codes", LAB, "unmapped")["values"] == []
    until = time.monotonic() + 12 * SECONDS
    number = 10
    while not results(fresh):
        assert time.monotonic() < until, "the mapping did not reach the door"
        assert await send(fresh, result(number, "Vu faible")) == "AA"
        fresh.drained()
        number += 1
    # What waited for the mapping goes too; of one person's sampling on one day one report counts.
    assert set(results(fresh)) - {""} == {"positive"}
    everything = "".join(p.read_text(errors="replace") for p in fresh.data_dir.glob("logs/*"))
    figures = ask(f"http://127.0.0.1:{fresh.http_port}/metrics")[2].decode()
    told = json.dumps(said(fresh, "conformance")) + json.dumps(listed)
    assert CANARY not in everything + figures + told


async def test_a_table_is_imported_whole_or_not_at_all(product: Embedded) -> None:
    assert await send(product, result(1, "Positif", "LABCSV")) == "AA"
    product.drained()
    file = product.data_dir.parent / "codes.csv"
    file.write_text("kind,local,code\nresult,Flou,positive\nresult,,negative\n", "utf-8")
    refused = product.look("labs", "codes", "LABCSV", "import", str(file))
    assert refused.returncode == 1
    assert "codes.csv:3: error: local is empty" in refused.stderr
    assert said(product, "labs", "codes", "LABCSV", "list")["codes"] == []
    file.write_text("kind,local,code\nresult,Flou,indeterminate\ntest,COV2,94500-6\n", "utf-8")
    dry = product.look("labs", "codes", "LABCSV", "import", str(file), "--dry-run")
    assert "2 added" in dry.stdout
    assert "nothing was written" in dry.stdout
    assert product.look("labs", "codes", "LABCSV", "import", str(file)).returncode == 0
    exported = product.look("labs", "codes", "LABCSV", "export").stdout
    assert exported.splitlines() == [
        "kind,local,local_system,code,system,text",
        "result,Flou,,82334004,SCT,Indeterminate",
        "test,COV2,,94500-6,LN,",
    ]
    assert product.look("labs", "codes", "LABCSV", "remove", "test", "cov2").returncode == 0
    again = product.look("labs", "codes", "LABCSV", "remove", "test", "cov2")
    assert again.returncode == 1
    assert "no_such_code" in again.stderr


async def test_a_state_reaches_a_running_door(product: Embedded) -> None:
    assert await send(product, result(1, "Positif", "LABSTATE")) == "AA"
    assert await send(product, result(2, "Positif", "LABSTATE")) == "AA"
    wrong = product.look("labs", "state", "LABSTATE", "gone")
    assert wrong.returncode == 1
    assert "onboarding, live, suspended" in wrong.stderr
    unknown = product.look("labs", "state", "LABSTAT", "live")
    assert unknown.returncode == 1
    assert "did you mean LABSTATE" in unknown.stderr
    for state, answer in (("suspended", "AR"), ("live", "AA")):
        assert said(product, "labs", "state", "LABSTATE", state)["state"] == state
        until = time.monotonic() + 12 * SECONDS
        number = 100
        while await send(product, result(number, "Positif", "LABSTATE")) != answer:
            number += 1
            assert time.monotonic() < until, "the state did not reach the door"
    assert {lab["registry_id"]: lab["state"] for lab in said(product, "labs", "list")}[
        "LABSTATE"
    ] == "live"
    shown = said(product, "labs", "show", "labstate")
    assert [each["application"] for each in shown["software"]] == ["KALIUM"]


async def test_a_live_laboratory_is_told_errors_alone_by_the_door_that_runs(
    product: Embedded,
) -> None:
    def odd(number: int) -> bytes:
        return result(number, "Positif", "LABTOLD").replace(b"|19790328|", b"|28/03/1979|")

    async def told(number: int, raw: bytes | None = None) -> list[bytes]:
        async with MllpClient("127.0.0.1", product.mllp_port) as client:
            answer = await client.send(raw or odd(number))
        return [line for line in answer.raw.split(b"\r") if line.startswith(b"ERR")]

    assert any(b"|W|" in line or b"|I|" in line for line in await told(1))
    until = time.monotonic() + 12 * SECONDS
    for state, is_silent in (("live", True), ("onboarding", False)):
        assert said(product, "labs", "state", "LABTOLD", state)["state"] == state
        number = 100
        while bool(await told(number)) is is_silent:
            number += 1
            assert time.monotonic() < until, "the state did not reach the door"
        if is_silent:
            broken = b"\r".join(
                line for line in result(2, "x", "LABTOLD").split(b"\r") if line[:3] != b"PID"
            )
            (error,) = await told(2, broken)
            assert b"|E|pid_missing^" in error
        until = time.monotonic() + 12 * SECONDS


async def test_conformance_is_for_the_operator_alone(product: Embedded) -> None:
    raws = [result(number, "Positif", "LABCONF") for number in (1, 2)]
    broken = b"\r".join(
        line for line in result(3, "x", "LABCONF").split(b"\r") if line[:3] != b"PID"
    )
    for raw in [*raws, *raws]:  # the second time they are duplicates, and count no more
        assert await send(product, raw) == "AA"
    assert await send(product, broken) == "AE"
    product.drained()
    url = f"http://127.0.0.1:{product.http_port}/v1/conformance"
    tokens = product.ready["tokens"]
    status, headers, body = ask(f"{url}/LABCONF", Authorization=f"Bearer {tokens['operator']}")
    assert (status, headers["content-type"]) == (200, "application/json")
    (only,) = json.loads(body)["reports"]
    assert (only["messages"], only["refused"], only["failed"]) == (3, 1, 1)
    assert only["application"] == "KALIUM"
    assert "pid_missing" in {finding["code"] for finding in only["findings"]}
    assert said(product, "conformance", "LABCONF", "--vendor", "kalium")["reports"] == [only]
    text = product.look("conformance", "LABCONF")
    assert "pid_missing" in text.stdout
    status, _, body = ask(url, Authorization=f"Bearer {tokens['operator']}")
    assert status == 200
    assert "LABCONF" in {report["laboratory"] for report in json.loads(body)["reports"]}
    cases: tuple[tuple[str, dict[str, str], int, str], ...] = (
        (url, {}, 401, "tokens.json"),
        (url, {"Authorization": f"Bearer {tokens['dossier']}"}, 403, "operator"),
        (f"{url}/LABCON", {"Authorization": f"Bearer {tokens['operator']}"}, 404, "LABCONF"),
        (f"{url}?since=x", {"Authorization": f"Bearer {tokens['operator']}"}, 400, "YYYY-MM-DD"),
    )
    for asked, given, expected, says in cases:
        status, headers, body = ask(asked, None, **given)
        assert (status, headers["content-type"]) == (expected, "application/problem+json")
        assert says in json.loads(body)["detail"]


def test_a_data_folder_without_an_operators_token_gains_one(product: Embedded) -> None:
    path = product.data_dir / "tokens.json"
    before = json.loads(path.read_text())
    older = {name: token for name, token in before.items() if name != "operator"}
    assert product.stop() == 0
    path.write_text(json.dumps(older))
    product.start()
    after = json.loads(path.read_text())
    assert {name: after[name] for name in older} == older
    assert after["operator"] not in {"", before["operator"]}
    assert product.ready["tokens"] == after
    assert path.stat().st_mode & 0o777 == 0o600
