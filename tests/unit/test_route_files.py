"""`route check` and `route explain FILE`: without a hub, line and why, and nothing nominative."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from ops.cli import main
from ops.simulate.sample import sample_message
from routing.rule_file import own_source

CORPUS = Path(__file__).parents[1] / "golden" / "corpus"
MESSAGE = (
    "MSH|^~\\&|LABX|300017985|HUB|HUB|20260306101502+0100||ORU^R01^ORU_R01|C-77|P|2.5.1"
    "|||||FRA|UNICODE UTF-8\r"
    "PID|1||279035121518989^^^ASIP-SANTE-INS-NIR&1.2.250.1.213.1.4.10&ISO^INS"
    "||PAT-TROIS^DOMINIQUE^DOMINIQUE^^^^L||19790328|F|||28 AV YYRUE^^PARIS^^75007^FRA^H^^75107"
    "~^^^^^^BDL^^63220||0639980001^PRN^CP|||||||||||||||||||VALI\r"
    "ORC|RE|ORD-889|LAB-5567\r"
    "OBR|1|ORD-889|LAB-5567|94500-6^ARN^LN|||20260306074500+0100|||||||||||||||20260306||F||F\r"
    "OBX|1|CWE|94500-6^ARN SARS-CoV-2^LN||260373001^Détecté^SCT||||||F\r"
)
VALUES = ("PAT-TROIS", "DOMINIQUE", "1979", "YYRUE", "75007", "75107", "0639980001", "279035")


WHAT_IS_LOADED = """
import sys
from ops.cli import main
try:
    main(["route", *sys.argv[1:]])
except SystemExit:
    pass
print("LOADED", *sorted(sys.modules), file=sys.stderr)
"""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["route", *arguments])


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "one.hl7"
    path.write_text(MESSAGE, newline="")
    return str(path)


def streams(*arguments: str) -> dict[str, Any]:
    told = run("explain", *arguments, "--json")
    assert told.exit_code == 0, told.output
    (report,) = json.loads(told.stdout)["reports"]
    return {each["stream"]: each for each in report["streams"]}


def test_the_rules_of_the_release_hold() -> None:
    done = run("check", "shipped")
    assert done.exit_code == 0
    assert "examples hold" in done.stdout


def test_a_fault_is_told_as_compilers_do(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    rules = msgspec.json.decode(own_source())
    rules["rules"][1]["must"].append({"status": "X"})
    path.write_text(json.dumps(rules, indent=2))
    done = run("check", str(path), "shipped")
    assert done.exit_code == 1
    (first, second) = done.stdout.splitlines()
    assert first.startswith(f"{path}:") and "must" in first and "its status" in first
    line = int(first.split(":")[1])
    assert path.read_text().splitlines()[line].strip().startswith('"status": "X"')
    assert second.startswith("shipped: version")
    (told, _) = json.loads(run("check", str(path), "shipped", "--json").stdout)
    assert told["faults"][0][0] == line
    refused = run("explain", str(path), "--rules", str(path))
    assert refused.exit_code == 1 and f"{path}:{line}: " in refused.output


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    assert "file_unreadable" in run("check", str(tmp_path / "none.json")).output


def test_a_message_is_explained_by_what_it_says(file: str) -> None:
    found = streams(file)
    assert {name for name, each in found.items() if each["due"]} == set(found)
    assert found["dossier"]["projection"] == "dossier"
    decided = [each["rule"] for each in found["contact-tracing"]["rules"] if each["decides"]]
    assert decided == [found["contact-tracing"]["rule"]]


@pytest.mark.parametrize(
    ("options", "stream", "because", "hold"),
    [
        (["--unqualified"], "dossier", "qualified", "identity_not_qualified"),
        (["--realm", "production"], "dossier", "other_realm", "ins_of_other_realm"),
        (["--opposes"], "dossier", "opposed", ""),
        (["--second-line", "sars-cov-2"], "contact-tracing", "no_rule", ""),
    ],
)
def test_what_a_hub_would_know_beside_the_message_is_assumed(
    file: str, options: list[str], stream: str, because: str, hold: str
) -> None:
    found = streams(file, *options)[stream]
    assert (found["due"], found["because"], found["hold"]) == (False, because, hold)


def test_why_each_rule_does_not_apply_is_said(file: str) -> None:
    told = run("explain", file, "--second-line", "sars-cov-2", "--unqualified")
    assert "another report of its case counts (counts_only)" in told.stdout
    assert "WAITS for identity_not_qualified" in told.stdout
    assert "its person is not qualified" in told.stdout


def test_no_value_of_the_patient_is_shown(file: str) -> None:
    for options in ([], ["--json"], ["--unqualified"], ["--realm", "production"]):
        told = run("explain", file, *options).output
        assert told and not any(value in told for value in VALUES)


def test_what_a_rule_looks_at_is_shown_as_far_as_it_looks(file: str, tmp_path: Path) -> None:
    rules = msgspec.json.decode(own_source())
    rules["version"] = "t-1"
    for rule in rules["rules"]:
        if rule["id"] == "tracing-direct-detection":
            example = {"laboratory": "300017985", "department": "75", "age": 40}
            for each in rule["must"]:
                each.update(example)
            rule.update(laboratories=["300017985"], departments=["75"], ages=[40, 59])
    mine = tmp_path / "mine.json"
    mine.write_bytes(msgspec.json.encode(rules))
    told = run("explain", file, "--rules", str(mine))
    assert "laboratory 300017985; department 75; age from 40" in told.stdout
    assert "DUE as tracing" in told.stdout
    other = run("explain", file, "--rules", str(mine), "--laboratory", "L9")
    assert "its laboratory is not among laboratories" in other.stdout


def test_a_message_without_a_report_is_said_and_exits_1(tmp_path: Path) -> None:
    path = tmp_path / "bad.hl7"
    path.write_bytes(sample_message().replace(b"\rPID|", b"\rZID|"))
    done = run("explain", str(path))
    assert done.exit_code == 1
    assert "answered AE (pid_missing), no report to route" in done.stdout


def test_the_corpus_of_others_is_explained_whole() -> None:
    for path in sorted(CORPUS.glob("*.hl7")):
        done = run("explain", str(path))
        assert done.exit_code == 0, done.output


def test_neither_database_nor_event_loop_is_loaded_for_a_file(file: str) -> None:
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            WHAT_IS_LOADED,
            "explain",
            file,
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    loaded = set(told.stderr.partition("LOADED")[2].split())
    assert "routing.rules" in loaded
    assert not loaded & {"asyncio", "asyncpg", "uvloop", "litestar", "cryptography", "rich"}
