"""What is withheld, and what is not. That nothing can be found out: tests/properties."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from random import Random

import msgspec
import pytest

from routing.disclosure import Policy, Shown, blocks_of, class_of, decide, protect
from routing.disclosure_flow import FREE, Parts, shown_small
from schemas.figures import COUNTS, RATES, Figure, Flag, Period
from tests.support.published import CONDITION, Leaf, Results, cell_of, figures_of, some_results

MONDAY = date(2026, 3, 2)
SUNDAY = MONDAY + timedelta(days=6)
LATER = SUNDAY + timedelta(days=10)
WEEK = "2026-S10"
DAYS = [MONDAY + timedelta(days=at) for at in range(7)]


def block(figures: Sequence[Figure]) -> list[Figure]:
    return [figure for figure in figures if figure.period != Period.SEVEN_DAYS]


def told(
    results: Results, policy: Policy, on: date = LATER, before: Shown | None = None
) -> dict[tuple[str, str, str, str, str], Figure]:
    figures = figures_of(results, MONDAY, SUNDAY)
    shown = decide(block(figures), policy, on, before)
    kept = msgspec.msgpack.decode(msgspec.msgpack.encode(shown), type=Shown)
    assert kept == shown
    return {
        cell_of(figure): figure for figure in protect(figures, policy, {(CONDITION, WEEK): shown})
    }


def corsica(tests: dict[str, int], positives: dict[str, int] | None = None) -> Results:
    """Everybody is a woman in her thirties, so that only areas tell people apart."""
    found = Results()
    for department, count in tests.items():
        positive = (positives or {}).get(department, 0)
        for day in DAYS:
            found[Leaf(department, day, "39", "F", True)] = positive
            found[Leaf(department, day, "39", "F", False)] = count - positive
    return found


def day_of(area: str, age: str = "0", sex: str = "") -> tuple[str, str, str, str, str]:
    return (area, "day", "2026-03-04", age, sex)


def test_enough_everywhere_is_told_everywhere() -> None:
    shown = told(corsica({"2A": 20, "2B": 30, "35": 40}, {"2A": 15, "2B": 12, "35": 11}), Policy())
    for figure in shown.values():
        if figure.period != Period.SEVEN_DAYS or figure.label == "2026-03-08":
            assert figure.tests is not None
            assert figure.cases is not None
            assert not figure.flags


def test_a_small_count_takes_a_sister_with_it() -> None:
    shown = told(corsica({"2A": 3, "2B": 30, "35": 40}), Policy(daily_from=0))
    assert shown[day_of("france")].tests == 73
    assert shown[day_of("region:94")].tests == 33
    assert shown[day_of("region:53")].tests == 40
    assert shown[day_of("department:2A")].tests is None
    assert shown[day_of("department:2B")].tests is None
    assert shown[day_of("department:2B")].flags == (Flag.SUPPRESSED,)
    assert shown[day_of("department:35")].tests == 40


def test_few_positives_are_withheld_and_their_tests_are_told() -> None:
    shown = told(corsica({"2A": 20, "2B": 30}, {"2A": 1, "2B": 12}), Policy())
    figure = shown[day_of("department:2A")]
    assert (figure.tests, figure.positive_tests, figure.cases) == (20, None, None)
    assert shown[day_of("department:2B")].cases is None
    assert shown[day_of("region:94")].cases == 13


def test_nobody_is_told_as_nobody_in_every_part() -> None:
    shown = told(corsica({"2A": 20, "2B": 30}), Policy())
    for area in ("france", "region:94", "department:2A"):
        for age in ("0", "39", "90"):
            for sex in ("", "F", "M"):
                assert shown[day_of(area, age, sex)].positive_tests == 0


def test_a_small_area_is_told_by_weeks_and_its_windows_wait_for_sunday() -> None:
    results = corsica({"2A": 6, "2B": 7, "35": 40})
    shown = told(results, Policy(daily_from=10))
    assert shown[day_of("department:2A")].tests is None
    assert shown["department:2A", "week", WEEK, "0", ""].tests == 42
    assert shown["department:2A", "7days", "2026-03-08", "0", ""].tests == 42
    assert shown["department:2A", "7days", "2026-03-07", "0", ""].tests is None
    assert shown[day_of("department:35")].tests == 40


def test_days_that_are_not_settled_are_told_for_france_alone() -> None:
    results = corsica({"2A": 20, "2B": 30})
    shown = told(results, Policy(settle_days=2), on=date(2026, 3, 5))
    assert shown[day_of("france")].tests == 50
    assert shown[day_of("france", "39")].tests is None
    assert shown[day_of("region:94")].tests is None
    assert shown["region:94", "day", "2026-03-03", "0", ""].tests == 50
    assert shown["region:94", "week", WEEK, "0", ""].tests is None


def test_what_was_withheld_stays_withheld() -> None:
    policy = Policy(daily_from=0)
    few, more = corsica({"2A": 3, "2B": 30}), corsica({"2A": 30, "2B": 30})
    before = decide(block(figures_of(few, MONDAY, SUNDAY)), policy, LATER)
    shown = told(more, policy, LATER + timedelta(days=1), before)
    assert shown[day_of("department:2A")].tests is None
    assert shown[day_of("department:2B")].tests is None
    assert told(more, policy)[day_of("department:2A")].tests == 30


def test_who_is_told_by_days_is_decided_once() -> None:
    figures = block(figures_of(corsica({"2A": 20, "2B": 30}), MONDAY, SUNDAY))
    fewer = [
        f for f in figures_of(corsica({"2A": 6, "2B": 6}), MONDAY, SUNDAY) if f.period == "week"
    ]
    first = decide(figures, Policy(), LATER, None, fewer)
    assert first.daily["tests"] == ("france",) or "region:94" in first.daily["tests"]
    assert "department:2A" not in first.daily["tests"]
    again = decide(figures, Policy(), LATER, first, figures)
    assert again.daily == first.daily


def test_a_slice_is_withheld_as_the_whole() -> None:
    results = some_results(Random(1), {"2A": 4, "2B": 9, "35": 30}, DAYS, {"29": 3, "39": 1})
    figures = figures_of(results, MONDAY, SUNDAY)
    shown = {(CONDITION, WEEK): decide(block(figures), Policy(), LATER)}
    whole = protect(figures, Policy(), shown)
    assert [protect([figure], Policy(), shown)[0] for figure in figures[::97]] == whole[::97]
    assert protect(list(reversed(figures)), Policy(), shown) == list(reversed(whole))


def test_a_block_that_was_not_decided_is_withheld() -> None:
    figures = figures_of(corsica({"2A": 90, "2B": 90}), MONDAY, SUNDAY)
    for figure in protect(figures, Policy(), {}):
        assert all(getattr(figure, count) is None for count in COUNTS)
        assert all(getattr(figure, rate) is None for rate in RATES)
        assert Flag.SUPPRESSED in figure.flags


def test_rates_go_with_their_counts() -> None:
    day = Figure(
        condition=CONDITION,
        area="france",
        period="day",
        label="2026-03-04",
        tests=100,
        persons=90,
        eligible_persons=80,
        positive_tests=3,
        positive_persons=3,
        cases=3,
        screened=2,
        variants=(1, 1, 0, 2, 1, 1),
        incidence=0.1,
        positivity=3.75,
        screening=9.0,
    )
    week = msgspec.structs.replace(day, period="week", label=WEEK)
    shown = decide([day, week], Policy(), LATER)
    for withheld in protect([day, week], Policy(), {(CONDITION, WEEK): shown}):
        assert (withheld.tests, withheld.screening) == (100, 9.0)
        assert (withheld.cases, withheld.positive_tests, withheld.incidence) == (None, None, None)
        assert withheld.positivity is None
        assert withheld.variants == (None,) * 6


def test_a_small_count_is_withheld_though_another_count_was_decided_on() -> None:
    figures = block(figures_of(corsica({"2A": 90, "2B": 90}), MONDAY, SUNDAY))
    shown = {(CONDITION, WEEK): decide(figures, Policy(), LATER)}
    few = [msgspec.structs.replace(figure, cases=4) for figure in figures]
    for figure in protect(few, Policy(), shown):
        assert (figure.cases, figure.positive_tests) == (None, None)


def test_a_few_of_unknown_age_are_not_told_by_sex() -> None:
    results = corsica({"2A": 30, "2B": 30})
    shown = told(results, Policy())
    assert shown[day_of("department:2A", "0", "M")].tests == 0
    assert shown[day_of("department:2A", "0", "F")].tests == 30
    results[Leaf("2A", date(2026, 3, 4), "", "M", False)] = 2
    shown = told(results, Policy())
    assert shown[day_of("department:2A", "0", "")].tests == 32
    assert shown[day_of("department:2A", "0", "M")].tests is None
    assert shown[day_of("department:2A", "0", "F")].tests is None


def test_who_is_few_of_a_sex_and_of_unknown_age_does_not_follow_from_the_other_sex() -> None:
    day, other = date(2026, 3, 4), Leaf("2B", date(2026, 3, 4), "29", "F", False)
    men, women = Leaf("2A", day, "29", "M", False), Leaf("2A", day, "", "F", False)
    others = Results({other: 6, other._replace(sex="M"): 9})
    few = told(Results({men: 8, women: 3}) + others, Policy(daily_from=0))
    assert few[day_of("department:2A")].tests == 11
    # At most 3 of the 11 would be women, if 8 men of an age were known.
    assert few[day_of("department:2A", "29", "M")].tests is None
    assert None in {few[day_of(area, "29", "M")].tests for area in ("department:2B", "region:94")}
    enough = told(Results({men: 8, women: 5}) + others, Policy(daily_from=0))
    assert enough[day_of("department:2A", "29", "M")].tests == 8


def test_a_department_does_not_tell_what_says_how_few_men_another_region_has() -> None:
    day = date(2026, 3, 4)
    tested = {"22": ((5, 2), (14, 14)), "29": ((14, 9), (10, 0)), "2A": ((9, 6), (6, 1))}
    results = Results()
    for department, by_sex in tested.items():
        for sex, (tests, positives) in zip("FM", by_sex, strict=True):
            leaf = Leaf(department, day, "29", sex, True)
            results[leaf], results[leaf._replace(positive=False)] = positives, tests - positives
    shown = told(results, Policy(daily_from=0))
    assert shown[day_of("france", "29", "M")].cases == 15
    # Of 16 who are positive, 5 of 19 tests a woman's, at least 11 are men: so elsewhere at most 4.
    assert shown[day_of("department:22", "29", "F")].tests == 5
    assert shown[day_of("department:22")].cases is None
    assert shown[day_of("department:22", "29")].cases is None


def test_few_persons_of_a_week_are_withheld_with_a_sister_though_each_day_is_told() -> None:
    results = Results()
    for department in ("2A", "2B"):
        for day in DAYS:
            for sex in ("F", "M"):
                results[Leaf(department, day, "39", sex, False)] = 30
        for sex, count in (("F", 5), ("M", 9)):
            results[Leaf(department, MONDAY, "90", sex, False)] = count
    persons = Results({leaf._replace(day=SUNDAY): count for leaf, count in results.items()})
    persons[Leaf("2A", SUNDAY, "90", "F", False)] = 4  # one of the five came again, elsewhere
    figures = figures_of(results, MONDAY, SUNDAY, persons)
    shown = decide(figures, Policy(), LATER)
    told_of = {
        cell_of(figure): figure for figure in protect(figures, Policy(), {(CONDITION, WEEK): shown})
    }
    for period, label in (("week", WEEK), ("7days", "2026-03-08")):
        for sex in ("F", "M"):
            figure = told_of["department:2A", period, label, "90", sex]
            assert (figure.tests, figure.persons, figure.eligible_persons) == (None, None, None)
        # Nor does it follow from the region less the other department.
        of_region = told_of["region:94", period, label, "90", "F"].persons
        assert None in {of_region, told_of["department:2B", period, label, "90", "F"].persons}
        assert told_of["region:94", period, label, "0", ""].persons is not None
    assert told_of["department:2A", "day", "2026-03-02", "90", "F"].tests == 5


def test_one_of_unknown_residence_takes_a_region_with_him() -> None:
    results = corsica({"2A": 30, "2B": 30, "35": 40})
    results[Leaf("", date(2026, 3, 4), "39", "F", False)] = 1
    shown = told(results, Policy())
    assert shown[day_of("france")].tests == 101
    assert None in {shown[day_of(area)].tests for area in ("region:94", "region:53")}
    results[Leaf("", date(2026, 3, 4), "39", "F", False)] = 5
    shown = told(results, Policy())
    assert [shown[day_of(area)].tests for area in ("region:94", "region:53")] == [60, 40]


def test_where_variants_are_withheld_nobody_screened_looks_like_a_few() -> None:
    def variants(screened: int, marks: tuple[int, ...], policy: Policy) -> tuple[int | None, ...]:
        figure = Figure(
            condition=CONDITION,
            area="department:48",
            period="day",
            label="2026-03-04",
            screened=screened,
            variants=marks,
        )
        return protect([figure], policy, {})[0].variants

    for policy in (Policy(), Policy(class_below=10**9)):
        assert variants(0, (), policy) == (None,) * 6
        assert variants(1, (1, 0, 0, 0, 0, 0), policy) == (None,) * 6


def test_a_threshold_of_one_withholds_nothing() -> None:
    figures = figures_of(corsica({"2A": 1, "2B": 2}, {"2A": 1}), MONDAY, SUNDAY)
    assert protect(figures, Policy(threshold=1), {}) == figures


def test_a_condition_told_by_months_is_told_once_the_month_is_over() -> None:
    def figures(tests: int) -> list[Figure]:
        areas = {"france": tests + 9, "region:94": tests + 9, "department:2A": tests}
        areas["department:2B"] = 9
        return [
            Figure(condition="hiv", area=area, period="month", label="2026-03", tests=count)
            for area, count in areas.items()
        ]

    early = decide(figures(8), Policy(), date(2026, 3, 31))
    assert not any(early.nodes["tests"].values())
    shown = {("hiv", "2026-03"): decide(figures(8), Policy(), date(2026, 4, 5))}
    assert [each.tests for each in protect(figures(8), Policy(), shown)] == [17, 17, 8, 9]
    shown = {("hiv", "2026-03"): decide(figures(2), Policy(), date(2026, 4, 5))}
    assert [each.tests for each in protect(figures(2), Policy(), shown)] == [11, 11, None, None]


def test_rounding_comes_last_and_takes_rates_away() -> None:
    policy = Policy(rounding=5)
    shown = told(corsica({"2A": 22, "2B": 33}), policy)
    figure = shown[day_of("department:2A")]
    assert (figure.tests, figure.flags) == (20, (Flag.ROUNDED,))
    assert shown[day_of("department:2B")].tests == 35
    assert figure.positivity is None


def test_small_areas_get_classes_instead_of_counts() -> None:
    policy = Policy(class_below=170_000, daily_from=0)
    results = corsica({"2A": 20, "2B": 30}, {"2A": 10, "2B": 10})
    figures = [
        msgspec.structs.replace(figure, population=100_000)
        for figure in figures_of(results, MONDAY, SUNDAY)
    ]
    shown = decide(block(figures), policy, LATER)
    found = {
        cell_of(figure): figure for figure in protect(figures, policy, {(CONDITION, WEEK): shown})
    }
    small = found["department:2A", "week", WEEK, "0", ""]
    assert small.flags == (Flag.CLASSED,)
    assert all(getattr(small, count) is None for count in COUNTS)
    assert small.incidence_class == "[50;150["
    assert small.positivity_class == "[50;Max]"
    assert small.screening_class == "[0;500["
    assert found["department:2B", "week", WEEK, "0", ""].cases == 70


def test_what_a_week_withholds_gets_the_lowest_class_where_all_are_in_it() -> None:
    def classes(positives: dict[str, int]) -> list[str]:
        results = corsica({"2A": 20, "2B": 30}, {})
        for department, count in positives.items():
            results[Leaf(department, MONDAY, "39", "F", True)] = count
        figures = [
            msgspec.structs.replace(figure, population=150_000)
            for figure in figures_of(results, MONDAY, SUNDAY)
        ]
        shown = {(CONDITION, WEEK): decide(block(figures), Policy(), LATER)}
        found = {cell_of(figure): figure for figure in protect(figures, Policy(), shown)}
        weeks = [found[f"department:{code}", "week", WEEK, "0", ""] for code in ("2A", "2B")]
        assert [figure.cases for figure in weeks] == [None, None]
        return [figure.incidence_class for figure in weeks]

    assert classes({"2A": 2, "2B": 7}) == ["[0;20[", "[0;20["]
    assert classes({"2A": 2, "2B": 70}) == ["", ""]
    # Each alone is in it (below 30); but that none of the 33 is beside 29 others would be told.
    assert classes({"2A": 4, "2B": 29}) == ["", ""]


@pytest.mark.parametrize(
    ("rate", "name"), [(0, "[0;20["), (19.99, "[0;20["), (20, "[20;50["), (5e6, "[50;Max]")]
)
def test_classes_of_rates(rate: float, name: str) -> None:
    assert class_of(rate, (0, 20, 50)) == name


def test_which_blocks_a_figure_needs() -> None:
    def needed(period: str, label: str) -> tuple[str, ...]:
        return blocks_of(Figure(condition=CONDITION, area="france", period=period, label=label))

    assert needed("day", "2026-01-01") == ("2026-S01",)
    assert needed("7days", "2026-03-08") == ("2026-S10",)
    assert needed("7days", "2026-03-04") == ("2026-S09", "2026-S10")
    assert needed("week", "2026-S10") == ("2026-S10",)
    assert needed("month", "2026-03") == ("2026-03",)


ROW = ("department:2A", "w:0")


@pytest.mark.parametrize(
    ("parts", "small"),
    [
        ({FREE: {0: 3}}, [(FREE, 0)]),  # the only one: its count follows by subtraction
        ({FREE: {0: 7}}, []),
        ({FREE: {0: 0}}, []),
        ({ROW: {0: 2, 1: 9}, FREE: {0: 9, 1: 0}}, []),  # two by two: any could be the other's
        ({ROW: {0: 2, 1: 9}, FREE: {0: 1, 1: 8}}, [(ROW, 0), (FREE, 0)]),  # 3 in all in column 0
        ({ROW: {0: 2, 1: 9}, FREE: {0: 9}}, [(ROW, 0)]),  # column 1 is the row's alone
    ],
)
def test_what_follows_from_rows_and_columns(parts: Parts, small: list[object]) -> None:
    before = {row: dict(held) for row, held in parts.items()}
    assert shown_small(parts, 5, {}) == small
    assert parts == before


def test_a_limit_holds_what_could_be_moved() -> None:
    parts: Parts = {ROW: {0: 2, 1: 9}, FREE: {0: 9, 1: 0}}
    assert shown_small(parts, 5, {FREE: {0: 99, 1: 2}}) == [(ROW, 0)]
    assert shown_small(parts, 5, {FREE: {0: 99, 1: 3}}) == []


def test_a_limit_that_nobody_knows_holds_for_others_but_not_for_what_is_asked() -> None:
    parts: Parts = {ROW: {0: 3, 1: 20}, FREE: {0: 30, 1: 1}}
    limits = {ROW: {0: 3, 1: 20}, FREE: {0: 99, 1: 99}}
    assert shown_small(parts, 5, limits, asked=frozenset({0})) == [(ROW, 0)]
    own = {ROW: {1: 20}, FREE: {0: 99, 1: 99}}
    assert shown_small(parts, 5, limits, asked=frozenset({0}), own=own) == []


def test_positives_and_negatives_among_tests_are_moved_apart() -> None:
    parts: Parts = {ROW: {0: 3, 1: 10}, FREE: {0: 14, 1: 6}}
    assert shown_small(parts, 5, {}) == []
    positives: Parts = {ROW: {0: 0, 1: 10}, FREE: {0: 0, 1: 0}}
    assert shown_small(parts, 5, {}, inner=positives) == [(ROW, 0)]
    some: Parts = {ROW: {0: 0, 1: 8}, FREE: {0: 0, 1: 0}}
    assert shown_small(parts, 5, {}, inner=some) == []
