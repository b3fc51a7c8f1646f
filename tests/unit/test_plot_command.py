"""What `indicators plot` asks for: the right figures, few, and of one extraction."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ops.cli import plot as command
from ops.indicators import completing
from ops.indicators.answering import Answer, Content
from ops.indicators.asking import Asked, read_asked
from ops.indicators.extractions import Made
from ops.indicators.packing import Packed
from ops.plotting.about import MOST_TIMES, Measure
from ops.plotting.command import asked_for, figures_for, plot
from ops.plotting.picture import Kind
from routing.indicator_cells import MEASURES
from routing.indicator_cells import Measure as Counted
from schemas.errors import PermanentError
from schemas.figures import Extraction, Figure, Flag, Period

AT = datetime(2026, 3, 6, 8, tzinfo=UTC)
LAST = date(2026, 3, 5).toordinal()
CONDITION = "sars-cov-2"


class Told:
    """Published figures in memory: France by day, as many as asked for, ten a page."""

    def __init__(self, first: int = LAST - 5_000) -> None:
        self.asked: list[Asked] = []
        self._first = first

    async def contents(self, as_of: datetime | None) -> tuple[Made, list[Content]]:
        made = Made(number=3, at=as_of or AT, events=1, lag=0, policy="p", tables=1)
        return made, [
            Content(condition=CONDITION, period=period.value, first=self._first, last=LAST)
            for period in (Period.DAY, Period.WEEK)
        ]

    async def figures(self, condition: str, asked: Asked) -> Answer:
        self.asked.append(asked)
        first = max(asked.first, asked.after + 1, self._first)
        days = list(range(first, asked.last + 1))
        figures = [
            Figure(
                condition=condition,
                area="france",
                period=asked.period,
                label=date.fromordinal(day).isoformat(),
            )
            for day in days[:10]
        ]
        return Answer(
            extraction=Extraction(number=3, at=asked.as_of or AT),
            condition=condition,
            figures=figures,
            next=str(days[9]) if len(days) > 10 else None,
        )


async def test_without_a_beginning_the_last_120_days_are_drawn_of_one_extraction() -> None:
    source = Told()
    extraction, figures = await figures_for(source, Kind.CURVE, CONDITION, read_asked([]))
    assert (extraction.number, len(figures)) == (3, 120)
    assert len({figure.label for figure in figures}) == 120
    assert figures[-1].label == "2026-03-05"
    assert {asked.as_of for asked in source.asked} == {AT}  # also of the first page: none between


async def test_of_weeks_the_last_year() -> None:
    source = Told()
    await figures_for(source, Kind.AGES, CONDITION, read_asked([("period", "week")]))
    assert source.asked[0].first == LAST - 7 * 52


@pytest.mark.parametrize(("to", "shown"), [("", "2026-03-05"), ("2026-02-28", "2026-02-28")])
async def test_a_map_is_of_one_day(to: str, shown: str) -> None:
    source = Told()
    asked = read_asked([("to", to)] if to else [])
    _, figures = await figures_for(source, Kind.MAP, CONDITION, asked)
    assert [figure.label for figure in figures] == [shown]


async def test_too_many_days_are_refused_before_one_is_read() -> None:
    source = Told()
    with pytest.raises(PermanentError) as refused:
        await figures_for(source, Kind.CURVE, CONDITION, read_asked([("from", "2016-01-01")]))
    assert refused.value.reason == "too_many_times"
    assert str(MOST_TIMES) in refused.value.remedy
    assert source.asked == []


async def test_what_is_not_published_is_no_picture() -> None:
    with pytest.raises(PermanentError, match="nothing_to_draw"):
        await figures_for(Told(), Kind.CURVE, "rsv", read_asked([]))


def test_each_kind_asks_for_what_it_shows() -> None:
    assert asked_for(Kind.AGES, ["sex=F"]).age_classes == frozenset()
    assert asked_for(Kind.MAP, []).levels == ("department",)
    with pytest.raises(PermanentError, match="bad_question"):
        asked_for(Kind.MAP, ["area=department:75"])
    with pytest.raises(PermanentError, match="bad_question"):
        asked_for(Kind.CURVE, ["colour=red"])


async def test_a_name_of_no_picture_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="bad_picture_name"):
        await plot(
            tmp_path,
            Kind.CURVE,
            CONDITION,
            [],
            measure=Measure.CASES,
            out=tmp_path / "a.pdf",
            note="",
        )
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_knows_every_kind_and_measure() -> None:
    assert list(command.KINDS) == [kind.value for kind in Kind]
    assert list(command.MEASURES) == [measure.value for measure in Measure]
    assert all(measure in Figure.__struct_fields__ for measure in command.MEASURES)


def packed(delays: list[int], by_reception: int = 0) -> Packed:
    counts = [0] * MEASURES
    counts[Counted.BY_RECEPTION_TESTS] = by_reception
    return Packed(cells={"29F": counts}, delays=delays)


def shares(level: int = 100) -> completing.Shares:
    days = {
        day: [packed([level // 2, level // 4, level // 4][: LAST - day])]
        for day in range(LAST - 80, LAST + 1)
    }
    days[LAST] = [packed([level // 10])]  # today has only begun
    return completing.unpack_shares(completing.pack_shares(completing.shares_of(days, LAST)))


def figure(**more: Any) -> Figure:
    fields = {"condition": CONDITION, "area": "france", "period": Period.DAY, "label": "2026-03-04"}
    return Figure(**{**fields, **more})


def test_figures_of_france_say_how_complete_they_are() -> None:
    told = completing.with_completeness(figure(), shares(), LAST - 1)
    assert told.completeness == pytest.approx(0.5, abs=0.02)
    assert told.completeness_low is not None
    assert told.completeness_high is not None
    assert told.completeness_low < 0.5 < told.completeness_high
    assert told.flags == (Flag.INCOMPLETE,)
    old = completing.with_completeness(figure(), shares(), LAST - 10)
    assert old.completeness == pytest.approx(1.0, abs=0.01)
    assert old.flags == ()


def test_today_is_flagged_though_nothing_can_be_estimated() -> None:
    for period in (Period.DAY, Period.SEVEN_DAYS):
        told = completing.with_completeness(figure(period=period), shares(), LAST)
        assert (told.completeness, told.flags) == (None, (Flag.INCOMPLETE,))


def test_a_smaller_area_has_the_flag_alone() -> None:
    told = completing.with_completeness(figure(area="department:75"), shares(), LAST - 1)
    assert (told.completeness, told.flags) == (None, (Flag.INCOMPLETE,))


def test_of_few_tests_in_france_no_interval_is_told() -> None:
    told = completing.with_completeness(figure(), shares(level=28), LAST - 1)
    assert (told.completeness, told.completeness_low, told.flags) == (
        None,
        None,
        (Flag.INCOMPLETE,),
    )


def test_a_day_of_few_tests_that_is_complete_has_no_flag() -> None:
    told = completing.with_completeness(figure(), shares(level=28), LAST - 8)
    assert (told.completeness, told.flags) == (None, ())


def test_a_figure_is_unchanged_where_nothing_was_estimated() -> None:
    assert completing.with_completeness(figure(), {}, LAST) == figure()
    assert msgspec.structs.asdict(figure())["completeness"] is None
