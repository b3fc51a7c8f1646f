from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.filters import (
    EVERYTHING,
    PARAMETERS,
    StreamFilter,
    both,
    check_filter,
    fits,
    is_told_by_part,
    pairs_of,
    parse_filter,
)
from schemas.errors import PermanentError
from schemas.topics import Stream

PUBLIC, TRACING, DOSSIER = Stream.PUBLIC_HEALTH, Stream.CONTACT_TRACING, Stream.DOSSIER
CANARY = "Zebulon"

filters = st.builds(
    StreamFilter,
    conditions=st.frozensets(st.sampled_from(["sars-cov-2", "rsv"])),
    departments=st.frozensets(st.sampled_from(["75", "2A", "974"])),
    results=st.frozensets(st.sampled_from(["positive", "negative"])),
    since=st.none() | st.dates(date(2026, 3, 1), date(2026, 3, 9)),
    until=st.none() | st.dates(date(2026, 3, 1), date(2026, 3, 9)),
    is_nothing=st.booleans(),
)
rows = st.fixed_dictionaries(
    {
        "condition": st.sampled_from(["sars-cov-2", "rsv", "hiv"]),
        "residence_department": st.sampled_from(["75", "2A", "974", ""]),
        "result": st.sampled_from(["positive", "negative", ""]),
        "sampled_on": st.dates(date(2026, 2, 25), date(2026, 3, 12)).map(date.isoformat),
    }
)


def row(**given: Any) -> bytes:
    plain = {
        "condition": "sars-cov-2",
        "residence_department": "75",
        "result": "positive",
        "sampled_on": "2026-03-06",
    }
    return msgspec.json.encode({**plain, **given})


def test_a_filter_is_asked_by_name_and_value() -> None:
    asked = parse_filter(
        PUBLIC,
        [
            ("condition", "sars-cov-2,rsv"),
            ("condition", "influenza-a"),
            ("department", "2A"),
            ("result", "positive"),
            ("from", "2026-03-01"),
            ("to", "2026-03-09"),
        ],
    )
    assert asked == StreamFilter(
        conditions=frozenset({"sars-cov-2", "rsv", "influenza-a"}),
        departments=frozenset({"2A"}),
        results=frozenset({"positive"}),
        since=date(2026, 3, 1),
        until=date(2026, 3, 9),
    )
    assert parse_filter(PUBLIC, []) == EVERYTHING
    assert not EVERYTHING
    assert asked


@pytest.mark.parametrize(
    ("pairs", "place"),
    [
        ([("condition", CANARY)], "condition: one or more of sars-cov-2"),
        ([("condition", "")], "condition: "),
        ([("condition", f"rsv,{CANARY}")], "condition: "),
        ([("department", CANARY)], "department: one or more as 01, 2A"),
        ([("department", "750")], "department: "),
        ([("department", "\u0667\u0665")], "department: "),
        ([("result", CANARY)], "result: one or more of positive, negative"),
        ([("from", CANARY)], "from: one day as 2026-03-06"),
        ([("from", "2026-02-30")], "from: one day"),
        ([("to", "20260306")], "to: one day"),
        ([("to", "2026-03-06,2026-03-07")], "to: one day"),
        ([("from", "2026-03-07"), ("to", "2026-03-06")], "from: not after"),
        ([(CANARY, "1")], "a filter is one of condition, department, result, from, to"),
        ([("condition", "rsv," * 600)], "condition: at most"),
    ],
)
def test_a_broken_filter_says_where_and_what_is_allowed(
    pairs: list[tuple[str, str]], place: str
) -> None:
    with pytest.raises(PermanentError) as caught:
        parse_filter(PUBLIC, pairs)
    assert caught.value.reason == "bad_filter"
    assert caught.value.remedy.startswith(place)
    assert CANARY not in str(caught.value)


@given(st.lists(st.tuples(st.sampled_from(PARAMETERS) | st.text(), st.text()), max_size=3))
def test_any_text_is_a_filter_or_refused_without_being_repeated(
    pairs: list[tuple[str, str]],
) -> None:
    try:
        parse_filter(PUBLIC, pairs)
    except PermanentError as error:
        refused = error
    else:
        return
    assert refused.reason == "bad_filter"
    assert not [value for _, value in pairs if len(value) > 12 and value in refused.remedy]


def test_nothing_of_the_dossier_is_given_for_a_filter() -> None:
    assert parse_filter(DOSSIER, []) == EVERYTHING
    check_filter(DOSSIER, EVERYTHING)
    asked = StreamFilter(departments=frozenset({"75"}))
    for refused in (
        lambda: parse_filter(DOSSIER, [("department", "75")]),
        lambda: check_filter(DOSSIER, asked),
        lambda: fits(DOSSIER, asked, b'{"resourceType":"Bundle"}'),
    ):
        with pytest.raises(PermanentError, match="the dossier takes no filter"):
            refused()


@given(filters, filters, rows)
def test_both_is_what_fits_both(one: StreamFilter, other: StreamFilter, about: Any) -> None:
    body = msgspec.json.encode(about)
    expected = fits(PUBLIC, one, body) and fits(PUBLIC, other, body)
    assert fits(PUBLIC, both(one, other), body) == expected
    assert both(one, EVERYTHING) == (StreamFilter(is_nothing=True) if _is_empty(one) else one)
    if is_told_by_part(one, about["condition"]):
        assert not fits(PUBLIC, one, body)


def _is_empty(one: StreamFilter) -> bool:
    days = [day for day in (one.since, one.until) if day is not None]
    return one.is_nothing or any(a > b for a, b in pairwise(days))


@given(filters.filter(lambda each: not _is_empty(each)))
def test_a_filter_comes_back_from_its_pairs(asked: StreamFilter) -> None:
    assert parse_filter(PUBLIC, pairs_of(asked)) == asked


@pytest.mark.parametrize(
    ("asked", "about", "expected"),
    [
        ([("condition", "rsv")], {}, False),
        ([("condition", "rsv,sars-cov-2")], {}, True),
        ([("department", "75")], {"residence_department": ""}, False),
        ([("result", "positive")], {"result": "", "second_line_result": "positive"}, False),
        ([("from", "2026-03-06"), ("to", "2026-03-06")], {}, True),
        ([("from", "2026-03-07")], {}, False),
        ([("from", "2026-03-02")], {"sampled_on": "2026-03-01", "dates": "month"}, False),
        (
            [("condition", "rsv"), ("department", "69")],
            {"record": "pseudonym_replaced", "old": "a", "new": "b"},
            True,
        ),
    ],
)
def test_rows_fit_as_the_page_says(
    asked: list[tuple[str, str]], about: dict[str, str], expected: bool
) -> None:
    assert fits(PUBLIC, parse_filter(PUBLIC, asked), row(**about)) is expected


@pytest.mark.parametrize(
    ("asked", "about", "expected"),
    [
        ([("department", "2B")], {"postcode": "20200"}, True),
        ([("department", "2A")], {"postcode": "20200"}, False),
        ([("department", "75")], {"postcode": ""}, False),
        ([("from", "2026-03-06")], {"sampled_at": "2026-03-06T23:30:00+01:00"}, True),
        ([("to", "2026-03-05")], {"sampled_at": "2026-03-06T00:30:00+01:00"}, False),
        ([("from", "2026-03-06")], {"sampled_at": "", "reported_at": "2026-03-05T08:00"}, False),
        ([("from", "2026-03-06")], {"sampled_at": "2026", "reported_at": ""}, True),
    ],
)
def test_cases_fit_as_the_page_says(
    asked: list[tuple[str, str]], about: dict[str, str], expected: bool
) -> None:
    assert fits(TRACING, parse_filter(TRACING, asked), msgspec.json.encode(about)) is expected
