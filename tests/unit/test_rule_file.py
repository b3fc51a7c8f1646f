"""A file of rules: what does not hold does not load, and each fault names its line and why."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from routing.doubts import Doubted
from routing.facts import Facts
from routing.rule_file import MAX_FILE_BYTES, load_own_rules, load_rules, own_source, read_rules
from routing.rule_lines import locate
from routing.rules import Because, rule_on
from schemas.codes import CONDITIONS, Kind, Result
from schemas.decision import Line, ProjectionName, Standing
from schemas.errors import FatalError
from schemas.report import ResultStatus
from schemas.topics import STREAMS
from tests.unit.test_routing_cases import case, traits

POSITIVE = {"status": "F", "findings": [["sars-cov-2", "rna", "positive"]]}
NEGATIVE = {"status": "F", "findings": [["sars-cov-2", "rna", "negative"]]}


def rule(**changes: Any) -> dict[str, Any]:
    return {
        "id": "tracing-covid",
        "stream": "contact-tracing",
        "projection": "tracing",
        "why": "A test.",
        "statuses": ["F"],
        "conditions": ["sars-cov-2"],
        "kinds": ["rna"],
        "results": ["positive"],
        "must": [POSITIVE],
        "must_not": [NEGATIVE],
    } | changes


def file(*rules: dict[str, Any], version: str = "t-1") -> bytes:
    """One line a rule's key, one an example."""
    text = json.dumps({"version": version, "rules": list(rules or (rule(),))}, indent=1)
    return text.encode()


def faults(*rules: dict[str, Any]) -> list[str]:
    return [each.what for each in read_rules(file(*rules)).faults]


def line_of(source: bytes, part: str, nth: int = 1) -> int:
    lines = [n for n, line in enumerate(source.decode().split("\n"), 1) if part in line]
    return lines[nth - 1]


def test_a_whole_file_loads() -> None:
    assert load_rules(file()).version == "t-1"


@pytest.mark.parametrize(
    ("change", "key", "said"),
    [
        ({"projection": "public-health"}, '"projection"', "belongs to the stream public-health"),
        ({"conditions": ["gout"]}, '"conditions"', "gout is no condition"),
        ({"departments": ["75", "7"]}, '"departments"', "7 is no department"),
        ({"laboratories": [""]}, '"laboratories"', "number in the register"),
        ({"ages": [18, 5]}, '"ages"', "completed years"),
        ({"ages": [0, 400]}, '"ages"', "completed years"),
        ({"holds_on": ["bad_weather"]}, '"holds_on"', "bad_weather is no doubt"),
        ({"why": " "}, '"why"', "why says"),
        ({"id": "Tracing Covid"}, '"id"', "a-z"),
        ({"id": "none"}, '"id"', "no word of ours"),
        ({"must": []}, '"must"', "holds 1 to"),
        ({"must_not": []}, '"must_not"', "holds 1 to"),
        ({"results": ["perhaps"]}, '"perhaps"', "Invalid enum value"),
        ({"statuses": ["Q"]}, '"Q"', "Invalid enum value"),
        ({"realms": ["moon"]}, '"moon"', "Invalid enum value"),
        ({"projection": "everything"}, '"projection"', "Invalid enum value"),
        ({"when": "condition == 1 or 1"}, '"id"', "unknown field `when`"),
    ],
)
def test_a_fault_names_its_line(change: dict[str, Any], key: str, said: str) -> None:
    source = file(rule(**change))
    (fault,) = [each for each in read_rules(source).faults if said in each.what]
    first = line_of(source, '"id"') - 1
    assert fault.line in {line_of(source, key), line_of(source, key) - 1, first}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"results": []}, "needs conditions, kinds and results"),
        ({"kinds": []}, "go together"),
        (
            {"stream": "dossier", "projection": "dossier"},
            "a dossier needs needs_qualified: true",
        ),
    ],
)
def test_what_a_projection_is_made_of_must_be_there(change: dict[str, Any], said: str) -> None:
    assert any(said in each for each in faults(rule(**change)))


@pytest.mark.parametrize(
    ("must", "because"),
    [
        ({"status": "P"}, "status is not among statuses"),
        ({"findings": []}, "no finding of it has one of the conditions"),
        ({"findings": [["sars-cov-2", "igg", "positive"]]}, "one of the kinds"),
        ({"findings": [["sars-cov-2", "rna", "negative"]]}, "one of the results"),
        ({"waiting": ["sars-cov-2"]}, "waits for its first line"),
        ({"ins_realm_ok": False}, "INS is of another realm"),
    ],
)
def test_a_must_that_fails_says_which_set_it_missed(must: dict[str, Any], because: str) -> None:
    source = file(rule(must=[POSITIVE, POSITIVE | must]))
    (fault,) = read_rules(source).faults
    assert fault.what.startswith("tracing-covid: must 2 does not hold: ")
    assert because in fault.what
    assert fault.line == line_of(source, '"status"', 2) - 1, "the line where the example begins"


def test_a_must_not_that_is_due_fails() -> None:
    source = file(rule(must_not=[NEGATIVE, POSITIVE]))
    (fault,) = read_rules(source).faults
    assert "must_not 2" in fault.what and "due" in fault.what
    with pytest.raises(FatalError) as caught:
        load_rules(source, "mine.json")
    assert f"mine.json:{fault.line}: " in caught.value.remedy


def test_every_fault_is_told_at_once() -> None:
    found = read_rules(file(rule(why=""), rule(must_not=[POSITIVE]), rule(id="third")))
    assert found.rules is None
    assert len(found.faults) == 3, "why, the example, and an id that stands twice"
    assert list(found.faults) == sorted(found.faults)


def test_a_key_that_stands_twice_is_a_fault_for_the_last_would_win() -> None:
    source = file().replace(b'"why": "A test."', b'"why": "A test.",\n "must_not": [1]')
    (fault,) = read_rules(source).faults
    assert fault.what == "must_not stands twice"
    assert fault.line == line_of(source, '"must_not"', 2)


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (b"", 1),
        (b'{\n"version": "1",\n"rules": [}\n', 3),
        (b'{"version": "1"}', 1),
        (b'{"version": "1", "rules": []}', 1),
        (b'{"version": "1", "rules": "\xff"}', 1),
        (b"[" * 100_000, 1),
        (b" " * (MAX_FILE_BYTES + 1), 1),
    ],
)
def test_what_is_no_file_of_rules_is_a_fault_and_no_crash(source: bytes, line: int) -> None:
    read = read_rules(source)
    assert read.rules is None
    assert read.faults[0].line == line


@pytest.mark.parametrize("version", ["", "a b", "é", "-1", "x" * 41])
def test_a_version_stands_on_events_so_its_form_is_narrow(version: str) -> None:
    assert any(
        "version is 1 to 40" in each.what for each in read_rules(file(version=version)).faults
    )


def test_lines_are_those_of_the_text() -> None:
    text = '{\n "a": [1,\n  {"b": "x\\"]}"},\n  [\n   2]],\n "c": null}'
    lines = locate(text).lines
    assert lines[("a",)] == 2
    assert lines["a", 0] == 2
    assert lines["a", 1] == lines["a", 1, "b"] == 3
    assert (lines["a", 2], lines["a", 2, 0]) == (4, 5)
    assert lines[("c",)] == 6


def test_our_own_rules_are_for_every_stream_and_say_what_must_not() -> None:
    rules = load_own_rules()
    assert {each.stream for each in rules.rules} == set(STREAMS)
    for each in rules.rules:
        assert all(rule_on(each, example).due for example in each.must)
        assert not any(rule_on(each, example).due for example in each.must_not)
    assert read_rules(own_source()).rules == rules


# ---------------------------------------------------------------- what a rule may look at


def judged(change: dict[str, Any], **facts: Any) -> Because:
    found = load_rules(file(rule(**change))).rules[0]
    given = {"status": ResultStatus.FINAL, "findings": SIGNS} | facts
    return rule_on(found, Facts(**given)).because


SIGNS = (("sars-cov-2", Kind.RNA, Result.POSITIVE),)


@pytest.mark.parametrize(
    ("change", "fits", "not_", "because"),
    [
        ({"laboratories": ["L1"], "must": [POSITIVE | {"laboratory": "L1"}]},
         {"laboratory": "L1"}, {"laboratory": "L2"}, Because.LABORATORY),
        ({"departments": ["75", "2A"], "must": [POSITIVE | {"department": "2A"}]},
         {"department": "75"}, {"department": ""}, Because.DEPARTMENT),
        ({"ages": [5, 17], "must": [POSITIVE | {"age": 5}]},
         {"age": 17}, {"age": 18}, Because.AGE),
        ({"ages": [5, 17], "must": [POSITIVE | {"age": 5}]},
         {"age": 5}, {"age": None}, Because.AGE),
        ({"realms": ["production"]},
         {}, {"realm": "test"}, Because.REALM),
        ({"once_an_episode": True},
         {"again": frozenset({"rsv"})}, {"again": frozenset({"sars-cov-2"})}, Because.AGAIN),
        ({"counts_only": True},
         {"beside": frozenset({"rsv"})}, {"beside": frozenset({"sars-cov-2"})},
         Because.SECOND_LINE),
    ],
)  # fmt: skip
def test_each_set_lets_pass_what_is_in_it_only(
    change: dict[str, Any], fits: dict[str, Any], not_: dict[str, Any], because: Because
) -> None:
    assert judged(change, **fits) is Because.DUE
    assert judged(change, **not_) is because


DOUBT = {"holds_on": ["result_not_understood", "birth_date_after_sampling"]}


@pytest.mark.parametrize(
    ("doubt", "because"),
    [
        (("result_not_understood", "sars-cov-2"), Because.DOUBT),
        (("result_not_understood", "rsv"), Because.DUE),
        (("birth_date_after_sampling", ""), Because.DOUBT),
        (("unit_unexpected", "sars-cov-2"), Because.DUE),
    ],
)
def test_a_doubt_holds_what_it_concerns(doubt: tuple[str, str], because: Because) -> None:
    assert judged(DOUBT, doubts={Doubted(*doubt)}) is because


@pytest.mark.parametrize(
    ("kind", "because"), [("rna", Because.DOUBT), ("", Because.DOUBT), ("igg", Because.CONDITION)]
)
def test_a_doubt_about_a_kind_that_a_rule_does_not_ask_for_is_none_of_its(
    kind: str, because: Because
) -> None:
    doubt = Doubted("result_not_understood", "sars-cov-2", kind)
    assert judged(DOUBT, doubts={doubt}, findings=()) is because


def test_a_doubt_about_what_nobody_understood_holds_without_a_finding() -> None:
    nothing: dict[str, Any] = {"findings": ()}
    named = {Doubted("result_not_understood", "sars-cov-2")}
    assert judged(DOUBT, doubts=named, **nothing) is Because.DOUBT
    assert (
        judged(DOUBT, doubts={Doubted("birth_date_after_sampling")}, **nothing) is Because.CONDITION
    )
    assert judged(DOUBT, doubts=named, status=ResultStatus.CANCELLED, **nothing) is Because.STATUS
    released = {("contact-tracing", "result_not_understood")}
    assert judged(DOUBT, doubts=named, released=released, **nothing) is Because.CONDITION
    assert judged(DOUBT, doubts=named, released=released) is Because.DUE
    assert judged(DOUBT, doubts=named, released={("dossier", "result_not_understood")}) is (
        Because.DOUBT
    )


def test_what_is_understood_flows_and_the_rest_waits_however_the_rules_are_cut() -> None:
    """A doubt about one condition neither drops that one nor keeps back another."""
    other = rule(
        id="tracing-rsv",
        conditions=["rsv"],
        must=[{"status": "F", "findings": [["rsv", "rna", "positive"]]}],
        holds_on=["result_not_understood"],
    )
    both = rule(conditions=["sars-cov-2", "rsv"], holds_on=["result_not_understood"])
    doubts = frozenset({Doubted("result_not_understood", "rsv")})
    for cut in ([rule(), other], [other, rule()], [both]):
        rules = load_rules(file(*cut))
        facts = Facts(status=ResultStatus.FINAL, findings=SIGNS, doubts=doubts)
        ruling = rules.judge_stream(STREAMS[1], facts)
        assert (ruling.due, ruling.hold, ruling.rule) == (
            True,
            "result_not_understood",
            "tracing-covid",
        )
        alone = msgspec.structs.replace(facts, findings=())
        ruling = rules.judge_stream(STREAMS[1], alone)
        assert (ruling.due, ruling.hold) == (False, "result_not_understood")


def test_the_first_rule_that_applies_decides() -> None:
    first, second = rule(), rule(id="second")
    for order in ([first, second], [second, first]):
        facts = Facts(status=ResultStatus.FINAL, findings=SIGNS)
        assert load_rules(file(*order)).judge_stream(STREAMS[1], facts).rule == order[0]["id"]


def due(change: dict[str, Any], example: dict[str, Any], **about: Any) -> bool:
    """As a router sees a case: only what the rules look at."""
    rules = load_rules(file(rule(**change, must=[POSITIVE | example])))
    fields = {"registry_id": about.pop("registry_id", "")}
    found = case(**about)
    whole = {name: getattr(found, name) for name in type(found).__struct_fields__} | fields
    rulings = rules.judge(type(found)(**whole).facts_in(rules.sight))[STREAMS[1]]
    return any(ruling.due for ruling in rulings.values())


def test_an_age_is_known_to_the_year_at_both_ends_of_a_rule() -> None:
    change: dict[str, Any] = {"ages": [5, 17]}
    for years in range(20):
        about = traits(birth_date=f"{2026 - years}-03-06")
        assert due(change, {"age": 5}, about=about) is (5 <= years <= 17)
        eve = traits(birth_date=f"{2026 - years}-03-07")
        assert due(change, {"age": 5}, about=eve) is (5 <= years - 1 <= 17)
    assert not due(change, {"age": 5}, about=traits(birth_date=""))


def test_place_laboratory_and_realm_are_known_where_a_rule_looks() -> None:
    assert due({"departments": ["75"]}, {"department": "75"})
    assert not due({"departments": ["2A"]}, {"department": "2A"})
    assert due({"laboratories": ["L1"]}, {"laboratory": "L1"}, registry_id="L1")
    assert not due({"laboratories": ["L1"]}, {"laboratory": "L1"}, registry_id="L2")
    assert due({"realms": ["test"]}, {"realm": "test"})
    assert not due({"realms": ["production"]}, {})
    again = {"sars-cov-2": Standing(UUID(int=1), Line.FIRST, again=True)}
    assert not due({"once_an_episode": True}, {}, standings=again)
    assert due({}, {}, standings=again)
    child = traits(birth_date="2027-01-01")
    assert not due({"holds_on": ["birth_date_after_sampling"]}, {}, about=child)
    assert due({}, {}, about=child)


def test_a_condition_of_special_anonymity_goes_as_its_own_projection_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hidden = msgspec.structs.replace(CONDITIONS["sars-cov-2"], anonymous=True)
    monkeypatch.setitem(CONDITIONS, "sars-cov-2", hidden)
    assert any("declared anonymously" in each for each in faults(rule()))
    row = rule(stream="public-health", projection="public-health")
    assert any("declared anonymously" in each for each in faults(row))
    row["projection"] = "public-health-anonymous"
    (found,) = load_rules(file(row)).rules
    assert found.projection is ProjectionName.PUBLIC_HEALTH_ANONYMOUS


def test_the_example_of_the_page_loads() -> None:
    page = (Path(__file__).parents[2] / "docs" / "rules.md").read_text()
    (example,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    (found,) = load_rules(example.encode()).rules
    assert len(found.must_not) == 5
    named = set(re.findall(r"^\| `([a-z_`, ]+)` \|", page, re.MULTILINE))
    told = {key for each in named for key in re.findall(r"[a-z_]+", each)}
    assert set(type(found).__struct_fields__) <= told, "each key of a rule has a line"
