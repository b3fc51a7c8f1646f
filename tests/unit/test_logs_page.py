"""What is logged is on the page and on the allow-list; the page names nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import ops
from ops import logs_page
from ops.logs_page import NotConstantError, calls_in, logged, place_of, sentences
from ops.runtime.logs import ALLOWED_KEYS

ROOT = Path(ops.__file__).parent.parent
OF_EVERY_LINE = {"event", "level", "timestamp", "station", "module", "dropped_keys"}


def test_the_page_is_what_the_code_makes() -> None:
    assert logs_page.OUTPUT.read_text("utf-8") == logs_page.page(), (
        "write it anew: python -m ops.logs_page"
    )


def test_each_event_has_a_sentence_and_each_sentence_an_event() -> None:
    assert {each.event for each in logged()} == set(sentences().events)
    for event, meaning in sentences().events.items():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", event)
        assert meaning.means.endswith("."), event
        assert meaning.do, event
        assert "|" not in meaning.means + meaning.do, event  # it stands in a table


def test_each_event_has_a_place_and_each_place_an_event() -> None:
    found = {each.module: place_of(each.module) for each in logged()}
    assert [module for module, place in found.items() if place is None] == []
    assert set(map(str, found.values())) == set(map(str, sentences().places))
    for place in sentences().places:
        for prefix in place.modules:
            assert any(m == prefix or m.startswith(prefix + ".") for m in found), prefix


def test_what_is_logged_is_on_the_allow_list_and_explained() -> None:
    used = {field for each in logged() for field in each.fields}
    assert used <= ALLOWED_KEYS, "it would be dropped"
    assert used & OF_EVERY_LINE == set(), "it would overwrite what every line has"
    assert used == set(sentences().fields)
    assert ALLOWED_KEYS - used == OF_EVERY_LINE, "nobody uses it: the list lets by what it must"


def test_no_warning_or_worse_of_ours_leaves_the_reader_without_a_sign() -> None:
    """An error says why, or what to do, or of whom it speaks: its name alone helps nobody."""
    bare = [f"{each.module}:{each.line}" for each in logged() if not each.fields]
    quiet = [f"{each.module}:{each.line}" for each in logged() if each.level in {"debug", "info"}]
    assert set(bare) <= set(quiet)


def test_the_runbooks_that_events_lead_to_are_there() -> None:
    for event, meaning in sentences().events.items():
        for link in re.findall(r"\]\(([^)#]+)", meaning.means + meaning.do):
            assert (ROOT / "docs" / link).is_file(), f"{event}: {link}"


def test_whoever_makes_a_logger_names_it_as_the_page_looks_for_it() -> None:
    """A logger by another name would log what no page and no test sees."""
    made = re.compile(r"^.*\bget_logger\(.*$", re.MULTILINE)
    for package in logs_page.PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            text = path.read_text("utf-8")
            if path.name in {"logs.py", "logs_page.py"} and "get_logger" in text:
                continue
            assert set(made.findall(text)) <= {"_log = get_logger(__name__)"}, path


def test_a_message_that_could_not_be_handled_is_found_by_its_id() -> None:
    (parked,) = [each for each in logged() if each.event == "message_parked"]
    assert {"message_id", "partition", "offset", "reason"} <= set(parked.fields)


def test_a_call_of_two_names_is_both() -> None:
    source = '_log = get_logger(__name__)\n_log.info("on" if it else "off", count=1)\n'
    assert [(each.event, each.fields) for each in calls_in(source, "m")] == [
        ("on", ("count",)),
        ("off", ("count",)),
    ]


@pytest.mark.parametrize(
    "call",
    [
        "_log.info(name)",
        '_log.info(f"a_{name}")',
        '_log.info("a", **fields)',
        '_log.info("a", "%s")',
        '_log.exception("a")',
        "_log.bind(a=1)",
    ],
)  # fmt: skip
def test_what_cannot_be_read_from_the_code_is_refused(call: str) -> None:
    with pytest.raises(NotConstantError, match="m:2"):
        calls_in(f"_log = get_logger(__name__)\n{call}\n", "m")
