"""The catalogue of findings: every code that the source uses is in it, and no rule is dead."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.catalogue import RULES, english, fault, finding, french
from ingest.rules.rule import EVERYWHERE, FRANCE, Rule
from schemas.finding import Level
from schemas.place import NOWHERE, Place
from tests.support.sources import parsed

ROOT = Path(__file__).parents[2]
MAKERS = {"note", "finding", "fault", "_refused", "_unusable"}
"""What makes a finding of the code that is its first argument."""
TEXT_CHARACTERS = 120
TABLE_0357 = {0, 100, 101, 102, 103, 200, 201, 202, 203, 204, 205, 206, 207}
PLACEHOLDERS = re.compile(r"\b(?:TODO|TBD|FIXME|XXX|lorem)\b|[{}]", re.IGNORECASE)


def sources() -> Iterator[Path]:
    yield from sorted((ROOT / "ingest").glob("*.py"))
    yield from sorted((ROOT / "ops").rglob("*.py"))


def used() -> Iterator[tuple[str, str]]:
    """Yield each code that is given to a maker of findings, and where."""
    for path in sources():
        for node in ast.walk(parsed(path)):
            if not (isinstance(node, ast.Call) and node.args):
                continue
            function, first = node.func, node.args[0]
            name = function.attr if isinstance(function, ast.Attribute) else ""
            if isinstance(function, ast.Name):
                name = function.id
            if name in MAKERS and isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value, f"{path.name}:{node.lineno}"


def constants() -> set[str]:
    return {
        node.value
        for path in sources()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_every_code_in_the_source_is_in_the_catalogue() -> None:
    found = dict(used())
    assert len(found) > 30
    assert {code: where for code, where in found.items() if code not in RULES} == {}


def test_no_rule_is_dead() -> None:
    assert set(RULES) - constants() == set()


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.code)
def test_a_rule_says_all_there_is_to_say(rule: Rule) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]{2,39}", rule.code)
    for text in (rule.en, rule.fr):
        assert 20 <= len(text) <= TEXT_CHARACTERS and text.endswith(".")
        assert text.count(". ") == 0, "one sentence"
    assert rule.en.isascii() and rule.en != rule.fr
    for text in (rule.en, rule.fr, rule.why, rule.source, rule.good, rule.bad):
        assert text.strip() == text and text and not PLACEHOLDERS.search(text)
    assert rule.good != rule.bad
    assert rule.hl7_code in TABLE_0357 and rule.profiles in {EVERYWHERE, FRANCE}
    assert rule.level is not Level.ERROR or rule.hl7_code >= 100


def test_a_finding_takes_its_level_its_code_and_its_text_from_its_rule() -> None:
    place = Place("OBR", 3, 7)
    found = finding("time_unreadable", place)
    rule = RULES["time_unreadable"]
    assert (found.code, found.level, found.place) == ("time_unreadable", rule.level, place)
    assert (found.hl7_code, found.text) == (rule.hl7_code, rule.en)
    assert finding("pid_missing").place == Place("PID", 1)
    assert finding("unexpected", level=Level.ERROR).level is Level.ERROR
    assert finding("frame_empty").place == NOWHERE


def test_an_error_says_whether_it_may_be_sent_again() -> None:
    for rule in RULES.values():
        text, texte = english(rule), french(rule)
        if rule.may_be_resent:
            assert text.endswith("It may be sent again.") and rule.hl7_code == 207
            assert texte.endswith("Il peut être renvoyé.")
        elif rule.level is Level.ERROR:
            assert text.endswith("Sending it again will not help.")
            assert texte.endswith("Le renvoyer tel quel ne servira à rien.")
        else:
            assert (text, texte) == (rule.en, rule.fr)


def test_a_fault_is_the_error_of_its_rule() -> None:
    error = fault("several_patients", Place("PID", 2))
    assert (error.reason, error.place) == ("several_patients", Place("PID", 2))
    assert error.remedy == RULES["several_patients"].en
    assert fault("obr_missing").place == Place("OBR", 1)
