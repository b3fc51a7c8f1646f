"""A laboratory's bytes go in over a socket; three streams, an account and a trace come out."""

from __future__ import annotations

import json
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import Message
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from ops.client import MllpClient
from ops.simulate.sample import sample_message
from ops.simulate.simulation import Simulation
from tests.support.conservation import check_conservation
from tests.support.product import Embedded, Laboratory, command_line

CORPUS = Path(__file__).parents[1] / "golden" / "corpus"
START = datetime(2026, 1, 5, 8, tzinfo=UTC)


@pytest.fixture(scope="module")
def product() -> Iterator[Embedded]:
    instance = Embedded()
    try:
        yield instance.start()
    finally:
        instance.remove()


@pytest.fixture
def fresh() -> Iterator[Embedded]:
    instance = Embedded()
    try:
        yield instance.start()
    finally:
        instance.remove()


def ask(url: str, body: bytes | None = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, data=body, headers=named)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, _lower(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, _lower(error.headers), error.read()


def _lower(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


async def test_every_message_of_the_corpus_is_acknowledged_and_ends_well(fresh: Embedded) -> None:
    files = sorted(CORPUS.glob("*.hl7"))
    assert len(files) == 4
    control_ids: list[str] = []
    for file in files:
        done = command_line("send", str(file), "--to", f"127.0.0.1:{fresh.mllp_port}", "--json")
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        assert done.returncode == 0, (file.name, done.stdout, done.stderr)
        assert {answer["code"] for answer in answers} <= {"AA", "CA"}
        control_ids += [answer["control_id"] for answer in answers]
    assert len(control_ids) == 169
    account = fresh.drained()
    assert account["received"] == 169
    assert account["refused"] == 0
    assert account["dispatched"] + account["duplicate"] + account["parked"] == 169
    assert account["at_the_door"] == {}


async def test_a_simulation_is_conserved(fresh: Embedded) -> None:
    simulation = Simulation(seed=11, labs=4, start_at=START)
    messages = [m for m in islice(simulation.messages(), 400) if m.expected in {"AA", "AE"}]
    journal = []
    for lab in range(4):
        laboratory = Laboratory(fresh.mllp_port)
        await laboratory.send((m.control_id, m.raw) for m in messages if m.lab_index == lab)
        journal += laboratory.journal
    expected = {m.control_id: m.expected for m in messages if m.control_id}
    assert all(code == expected[cid] for cid, code in journal if cid)
    ledger = check_conservation(fresh, [(cid, code) for cid, code in journal if cid])
    assert ledger.account["dispatched"] > 300
    assert all(ledger.streams[name] for name in ("dossier", "contact-tracing", "public-health"))


def test_whoever_is_on_call_sees_a_hub_that_runs(product: Embedded) -> None:
    examined = product.look("doctor", "--json")
    assert examined.returncode == 0, examined.stdout
    found = {(each["area"], each["name"]): each for each in json.loads(examined.stdout)}
    assert found["database", "schema"]["state"] == "good"
    assert found["broker", "Apache Kafka"]["state"] == "not used"
    assert found["processes", "releases"]["state"] == "good"
    status = product.look("status", "--json")
    told = {each["name"]: each for each in json.loads(status.stdout)}
    assert told["open"]["said"] == "ready"
    assert {"ingest", "dispatch", "push", "indicators", "api"} <= set(told)
    wanting = [each for each in told.values() if each["state"] in {"advice", "wrong"}]
    assert status.returncode == (1 if wanting else 0)
    shown = product.look("top")
    assert shown.returncode == 0, shown.stderr
    assert "bytes in -> answer" in shown.stdout


async def test_one_result_over_http_is_in_three_streams_and_in_the_trace(
    product: Embedded,
) -> None:
    base = f"http://127.0.0.1:{product.http_port}"
    # An order, a control id and a year of its own: other tests send the sample to this product too,
    # and a positive within 60 days of another is no new case.
    message = sample_message().replace(b"L0001-20260306-0001", b"OVER-HTTP-1")
    message = message.replace(b"PR-889", b"PR-990").replace(b"LAB-5567", b"LAB-6678")
    assert message.count(b"202603060745") >= 1
    message = message.replace(b"202603060745", b"202502200745")
    status, headers, ack = ask(
        f"{base}/v1/messages", message, Content_Type="application/hl7-v2+er7"
    )
    assert (status, headers["content-type"]) == (200, "application/hl7-v2+er7")
    assert b"\rMSA|AA|" in ack
    product.drained()
    (held,) = product.trace(["OVER-HTTP-1"])
    stations = [station["station"] for station in held["stations"]]
    assert stations[:2] == ["received", "answered"]
    assert stations.count("event") >= 3
    assert {"identity", "report", "outcome"} <= set(stations)
    assert "DOMINIQUE" not in json.dumps(held)
    token = json.loads((product.data_dir / "tokens.json").read_text())["dossier"]
    url = f"{base}/v1/streams/dossier"
    status, headers, body = ask(f"{url}?limit=1", Authorization=f"Bearer {token}")
    assert (status, headers["content-type"]) == (200, "application/x-ndjson")
    event = json.loads(body)
    assert isinstance(event["body"], dict)
    assert event["realm"] == "test"
    status, _, body = ask(f"{url}?after={event['cursor']}", Authorization=f"Bearer {token}")
    rest = [json.loads(line) for line in body.splitlines()]
    assert event["event_id"] not in {each["event_id"] for each in rest}


async def test_rules_are_tried_and_loaded_beside_a_running_hub(
    product: Embedded, tmp_path: Path
) -> None:
    def route(*arguments: str, code: int = 0) -> Any:
        done = command_line("route", *arguments, "--data-dir", str(product.data_dir), "--json")
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout)

    message = sample_message().replace(b"L0001-20260306-0001", b"BY-RULE-1")
    message = message.replace(b"PR-889", b"PR-992").replace(b"LAB-5567", b"LAB-6680")
    async with MllpClient("127.0.0.1", product.mllp_port) as client:
        sent = await client.send(message.replace(b"202603060745", b"202510200745"))
    assert sent.code == "AA"
    product.drained()
    (shipped,) = route("list")
    assert (shipped["state"], shipped["actor"]) == ("in effect", "labdispatch")
    ((told,),) = [each["reports"] for each in route("explain", "BY-RULE-1")]
    assert told["rules"] == shipped["version"]
    assert {each["rule_version"] for each in told["held"]} == {shipped["version"]}
    due = {each["stream"] for each in told["streams"] if each["due"]}
    assert due == {each["stream"] for each in told["held"]} >= {"contact-tracing"}
    shown = command_line("route", "show", "--data-dir", str(product.data_dir))
    rules = json.loads(shown.stdout)
    rules["version"] = "mine-1"
    rules["rules"] = [each for each in rules["rules"] if each["stream"] != "contact-tracing"]
    mine = tmp_path / "mine.json"
    mine.write_text(json.dumps(rules))
    found = route("diff", "--rules", str(mine), "--since", "1h", code=1)
    some = {i for each in found["changes"] for i in each["some"] if each["after"][0] == "no"}
    assert told["report_id"] in some
    asked = ("load", str(mine), "--from", "+1d", "--actor", "a.martin", "--reason", "a test")
    assert route(*asked)["before"] == shipped["version"]


async def test_what_waits_for_a_word_goes_by_itself_once_it_is_mapped(product: Embedded) -> None:
    code = "94500-6^SARS-CoV-2 ARN [Présence] Respiratoire ; PCR^LN"
    message = sample_message().replace(b"L0001-20260306-0001", b"HELD-1")
    message = message.replace(b"PR-889", b"PR-991").replace(b"LAB-5567", b"LAB-6679")
    message = message.replace(b"202603060745", b"202401150745")
    coded = f"|CWE|{code}||260373001^Détecté^SCT|||POS|".encode()
    assert coded in message
    message = message.replace(coded, f"|ST|{code}||Vu net||||".encode())
    async with MllpClient("127.0.0.1", product.mllp_port) as client:
        assert (await client.send(message)).code == "AA"
    account = product.drained()
    reason = "result_not_understood"
    assert {account["holds"][name][reason] for name in ("contact-tracing", "public-health")} == {1}
    listed = json.loads(product.look("holds", "list", "--for", reason, "--json").stdout)
    assert len(listed) == 2
    which, laboratory = listed[0]["report_id"], listed[0]["laboratory"]
    shown = product.look("holds", "show", which).stdout
    assert "to do: map the laboratory's word" in shown
    assert "DOMINIQUE" not in shown
    added = product.look("labs", "codes", laboratory, "add", "result", "Vu net", "positive")
    assert added.returncode == 0, added.stderr
    until = time.monotonic() + 90
    while json.loads(product.look("holds", "list", "--for", reason, "--json").stdout):
        assert time.monotonic() < until, "the new mapping did not ask it again"
        time.sleep(0.5)
    assert reason not in product.drained()["holds"].get("public-health", {})
    assert which in {event["report_id"] for event in product.stream("public-health")}


async def test_streams_ask_for_their_own_token(product: Embedded) -> None:
    tokens = json.loads((product.data_dir / "tokens.json").read_text())
    url = f"http://127.0.0.1:{product.http_port}/v1/streams/dossier"
    assert ask(url)[0] == 401
    assert ask(url, Authorization=f"Bearer {tokens['public-health']}")[0] == 403
    status, headers, body = ask(
        f"{url}?after=nonsense", Authorization=f"Bearer {tokens['dossier']}"
    )
    assert (status, headers["content-type"]) == (400, "application/problem+json")
    assert json.loads(body)["title"] == "bad_cursor"
    assert (product.data_dir / "tokens.json").stat().st_mode & 0o777 == 0o600


async def test_a_reader_gets_a_token_reads_by_it_and_loses_it(product: Embedded) -> None:
    url = f"http://127.0.0.1:{product.http_port}/v1/streams/contact-tracing"
    refused = product.look("tokens", "add", "ars", "--stream", "contact-tracing")
    assert refused.returncode == 1 and "reason_needed" in refused.stderr
    made = product.look(
        "tokens", "add", "ars", "--stream", "contact-tracing", "--where", "department=75",
        "--reason", "agreement 12", "--json",
    )  # fmt: skip
    header = f"Bearer {json.loads(made.stdout)['token']}"
    assert ask(url, Authorization=header)[0] == 200, "it reads at once"
    assert ask(url, Authorization=header[:-1])[0] == 401
    assert product.look("tokens", "revoke", "ars").returncode == 0
    until = time.monotonic() + 60
    while (told := ask(url, Authorization=header))[0] == 200:
        assert time.monotonic() < until, "a revoked token goes on reading"
        time.sleep(0.2)
    assert (told[0], json.loads(told[2])["title"]) == (403, "token_revoked")
    while not json.loads(product.look("tokens", "show", "ars", "--json").stdout)["days"]:
        assert time.monotonic() < until, "what it read is counted"
        time.sleep(0.2)
    secret = header.removeprefix("Bearer ")
    told_anywhere = [each.read_text(errors="replace") for each in product.data_dir.glob("logs/*")]
    told_anywhere.append(ask(f"http://127.0.0.1:{product.http_port}/metrics")[2].decode())
    assert len(told_anywhere) > 3
    assert not any(secret in each for each in told_anywhere)


async def test_health_and_figures_of_all_processes(product: Embedded) -> None:
    base = f"http://127.0.0.1:{product.http_port}"
    async with MllpClient("127.0.0.1", product.mllp_port) as client:
        assert (await client.send(sample_message())).code == "AA"
    product.drained()
    assert ask(f"{base}/healthz")[0] == 200
    assert ask(f"{base}/readyz")[0] == 200
    figures = ask(f"{base}/metrics")[2].decode()
    for name in (
        'labdispatch_answers_total{code="AA"}',  # of ingest
        "labdispatch_outcomes_total",  # of dispatch
        "labdispatch_lag_records",
    ):
        assert name in figures
    assert b"openapi" in ask(f"{base}/docs/openapi.json")[2]


ER7_HEAD = b"MSH|^~\\&|LIS|LABO|HUB|HUB|20260305091501||"
PID = b"PID|1||X^^^L^PI||MARTIN^JEAN^^^^^L||19800101|M\r"
OBR = b"OBR|1||F1|94500-6^PCR^LN|||20260305090000\r"
BAD: list[tuple[str, bytes, str, str]] = [
    ("not HL7", b"hello", "AR", ""),
    ("unknown type", ER7_HEAD + b"ADT^A01|1|T|2.5\r" + PID, "AR", "MSH"),
    ("unknown version", ER7_HEAD + b"ORU^R01|2|T|9.9\r" + PID + OBR, "AR", "MSH"),
    ("no control id", ER7_HEAD + b"ORU^R01||T|2.5\r" + PID + OBR, "AE", "MSH"),
    ("no PID", ER7_HEAD + b"ORU^R01|4|T|2.5\r" + OBR, "AE", "PID"),
    ("no OBR", ER7_HEAD + b"ORU^R01|5|T|2.5\r" + PID, "AE", "OBR"),
    ("truncated", ER7_HEAD + b"ORU^R01|6|T|2.5\r" + PID[:20], "AE", "OBR"),
    (
        "wrong charset",
        ER7_HEAD + b"ORU^R01|7|T|2.5||||||UNICODE UTF-8\r" + PID[:-1] + b"\xff\xfe\r" + OBR,
        "AE",
        "",
    ),
]


@pytest.mark.parametrize(
    ("raw", "code", "place"), [case[1:] for case in BAD], ids=[c[0] for c in BAD]
)
async def test_bad_input_gets_an_answer_that_names_place_and_remedy(
    product: Embedded, raw: bytes, code: str, place: str
) -> None:
    async with MllpClient("127.0.0.1", product.mllp_port) as client:
        answer = await client.send(raw)
        assert answer.code == code
        errors = [line for line in answer.raw.split(b"\r") if line.startswith(b"ERR")]
        assert errors
        fields = errors[0].split(b"|")
        assert place.encode() in fields[2]
        assert len(fields[8]) > 15 or len(fields[7]) > 15, errors
        assert b"MARTIN" not in answer.raw
        assert (await client.send(sample_message())).code == "AA"  # the connection lives on


async def test_an_oversize_frame_is_turned_away_and_the_next_is_taken(product: Embedded) -> None:
    huge = ER7_HEAD + b"ORU^R01|8|T|2.5\r" + PID + OBR + b"NTE|1||" + b"x" * 9_000_000
    async with MllpClient("127.0.0.1", product.mllp_port) as client:
        assert (await client.send(huge)).code == "AR"
        assert (await client.send(sample_message())).code == "AA"


async def test_an_export_that_is_killed_goes_on_and_ends_the_same(
    fresh: Embedded, tmp_path: Path
) -> None:
    simulation = Simulation(seed=5, labs=2, start_at=START)
    messages = [
        (m.control_id, m.raw) for m in islice(simulation.messages(), 60) if m.expected == "AA"
    ]
    await Laboratory(fresh.mllp_port).send(messages)
    fresh.drained()

    def export(out: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        where = ("--state", "events", "--out", str(tmp_path / out))
        return fresh.look("export", "public-health", *where, *arguments)

    whole = export("whole", "--json")
    assert whole.returncode == 0, whole.stderr
    manifest = json.loads(whole.stdout)
    assert manifest["events"] == len(fresh.stream("public-health")) > 0
    fresh.env["LABDISPATCH_FAILPOINTS"] = "export.after_file=kill"
    assert export("cut", "--extraction", manifest["extraction"]).returncode == -signal.SIGKILL
    del fresh.env["LABDISPATCH_FAILPOINTS"]
    again = export("cut")
    assert again.returncode == 0, again.stderr
    assert f"--extraction {manifest['extraction']}" in again.stdout

    def contents(out: str) -> dict[Path, bytes]:
        files = (each for each in (tmp_path / out).rglob("*") if each.is_file())
        return {each.relative_to(tmp_path / out): each.read_bytes() for each in files}

    assert contents("whole") == contents("cut")
    named = fresh.look("export", "dossier", "--out", str(tmp_path / "dossier"))
    assert (named.returncode, named.stdout) == (1, "")
    assert "who_asks" in named.stderr
    csv = fresh.look("stream", "public-health", "--format", "csv", "--where", "result=positive")
    assert csv.returncode == 0, csv.stderr
    assert all(
        ",positive," in line for line in csv.stdout.splitlines()[1:] if ",published," in line
    )
    slip = fresh.look("stream", "public-health", "--where", "result")
    assert slip.returncode == 2


async def test_the_cli_teaches(product: Embedded) -> None:
    helped = command_line("--help")
    assert "Exit codes" in helped.stdout
    missing = command_line("trace", "no-such-id", "--data-dir", str(product.data_dir))
    assert missing.returncode == 1
    nobody = command_line("account", "--data-dir", str(product.data_dir / "none"))
    assert nobody.returncode == 3
    assert "labdispatch run" in nobody.stderr
    usage = command_line("send", "/no/such/file", "--to", "x")
    assert usage.returncode == 2


async def test_a_cursor_holds_across_a_restart(fresh: Embedded) -> None:
    laboratory = Laboratory(fresh.mllp_port)
    simulation = Simulation(seed=3, labs=1, start_at=START)
    messages = [
        (m.control_id, m.raw) for m in islice(simulation.messages(), 60) if m.expected == "AA"
    ]
    await laboratory.send(messages[:30])
    fresh.drained()
    first = fresh.stream("public-health")
    assert fresh.stop() == 0
    stopped = fresh.look("stream", "public-health")
    assert (stopped.returncode, stopped.stdout) == (3, "")
    assert f"labdispatch run --data-dir {fresh.data_dir}" in stopped.stderr
    fresh.start()
    await laboratory.send(messages[30:])
    fresh.drained()
    whole = fresh.stream("public-health")
    done = fresh.look("stream", "public-health", "--after", first[-1]["cursor"])
    after: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    assert [e["event_id"] for e in first + after] == [e["event_id"] for e in whole]
