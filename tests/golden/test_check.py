"""What `labdispatch check` prints of a fixed file, in every format.

The findings are given, not judged: a new rule changes no golden file, a new text of a rule does.
`python -m tests.golden.test_check` writes them anew.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ingest.header import read_header
from ingest.judge import Ruling
from ops.checking.as_json import JsonReport
from ops.checking.as_sarif import SarifReport
from ops.checking.as_text import TextReport
from ops.checking.command import Report
from ops.checking.entries import Entry, Options, Verdict, entry_of
from ops.simulate.sample import sample_message
from ops.splitting import split_parts
from schemas.finding import Finding, Level
from schemas.place import Place

FOLDER = Path(__file__).parent / "check"
_FILE = "lab results/two.hl7"


def content() -> bytes:
    text = sample_message().decode()
    bad = text.replace("|19790328|", "|28/03/1979|").replace("|24.6|", "|24,6|")
    return (text + bad.replace("-0001|T|", "-0002||")).replace("\r", "\n").encode()


FOUND = (
    Finding("processing_id_missing", Level.WARNING, Place("MSH", 1, 11), 101),
    Finding("birth_date_unreadable", Level.WARNING, Place("PID", 1, 7), 102),
    Finding("number_unreadable", Level.WARNING, Place("OBX", 2, 5), 102),
    Finding("x_example", Level.ERROR, Place("ZZZ", 1), 100, "A rule of no catalogue: mend it."),
    Finding("x_remark", Level.INFO, Place("PID", 1, 3, 2, 1), 0, "A remark at a component."),
)


def entries(language: str, *, show_values: bool = False) -> list[Entry]:
    options = Options(language=language, show_values=show_values)
    made = []
    for number, part in enumerate(split_parts(content()), 1):
        header = read_header(part.raw)
        header = getattr(header, "header", header)
        findings = FOUND if number == 2 else ()
        verdict = Verdict(
            header=header,  # type: ignore[arg-type]
            ruling=Ruling.REFUSE if findings else Ruling.ACCEPT,
            outcome="refused" if findings else "dispatched",
            findings=findings,
        )
        made.append(entry_of(part, _FILE, number, options, verdict))
    return made


def report(name: str) -> str:
    language = "fr" if "-fr" in name else "en"
    made: Report
    if name.endswith(".json"):
        made = JsonReport()
    elif name.endswith(".sarif"):
        made = SarifReport(version="0.0.0", hub_url="http://127.0.0.1:8575/", language=language)
    else:
        made = TextReport(
            language=language,
            colour="colour" in name,
            width=60 if "narrow" in name else 100,
            quiet="quiet" in name,
            verbose="quiet" not in name,
        )
    shown = entries(language, show_values="values" in name)
    return "".join([*map(made.entry, shown), made.summary()])


NAMES = (
    "report.txt",
    "report-fr.txt",
    "report-colour.txt",
    "report-quiet.txt",
    "report-values-narrow.txt",
    "report.json",
    "report-fr.json",
    "report.sarif",
)


@pytest.mark.parametrize("name", NAMES)
def test_a_report_is_as_it_was(name: str) -> None:
    assert report(name) == (FOLDER / name).read_text(encoding="utf-8")


def test_json_has_one_entry_a_message_also_without_findings() -> None:
    found = json.loads(report("report.json"))
    assert [(each["file"], each["control_id"]) for each in found] == [
        (_FILE, "L0001-20260306-0001"),
        (_FILE, "L0001-20260306-0002"),
    ]
    assert found[0]["findings"] == [] and len(found[1]["findings"]) == len(FOUND)
    assert json.loads(JsonReport().summary()) == []


def test_a_caret_stands_below_the_value() -> None:
    lines = report("report-values-narrow.txt").split("\n")
    marks = [number for number, line in enumerate(lines) if re.fullmatch(r" +\| +\^+", line)]
    assert marks
    below = [
        lines[number - 1][lines[number].index("^") : lines[number].rindex("^") + 1]
        for number in marks
    ]
    assert "28/03/1979" in below and "24,6" in below
    excerpts = [lines[number - 1] for number in marks]
    assert max(map(len, excerpts)) <= 60


def test_sarif_is_of_version_2_1_0_in_its_structure() -> None:
    log = json.loads(report("report.sarif"))
    assert log["version"] == "2.1.0" and log["$schema"].endswith("sarif-2.1.0.json")
    (run,) = log["runs"]
    _check_driver(run["tool"]["driver"])
    assert run["columnKind"] == "unicodeCodePoints"
    rules = run["tool"]["driver"]["rules"]
    uris = {each["location"]["uri"] for each in run["artifacts"]}
    assert uris == {"lab%20results/two.hl7"}
    assert len(run["results"]) == len(FOUND)
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in {"none", "note", "warning", "error"}
        assert result["message"]["text"]
        (location,) = result["locations"]
        physical = location["physicalLocation"]
        assert physical["artifactLocation"]["uri"] in uris
        region = physical["region"]
        assert all(isinstance(value, int) and value >= 1 for value in region.values())
        assert region.get("endColumn", 1) >= region.get("startColumn", 1)


def _check_driver(driver: dict[str, Any]) -> None:
    assert driver["name"] and driver["version"]
    ids = [rule["id"] for rule in driver["rules"]]
    assert len(ids) == len(set(ids)) == len(FOUND)
    for rule in driver["rules"]:
        assert rule["shortDescription"]["text"] and rule["fullDescription"]["text"]
        assert rule["help"]["text"]
        assert rule["helpUri"] == f"http://127.0.0.1:8575/v1/findings/{rule['id']}"
        assert rule["defaultConfiguration"]["level"] in {"note", "warning", "error"}


def write() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in NAMES:
        (FOLDER / name).write_text(report(name), encoding="utf-8")


if __name__ == "__main__":
    write()
