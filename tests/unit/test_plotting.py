"""Pictures of figures: docs/plots.md says what they show, and what they never do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.plotting import about as reading
from ops.plotting.about import MOST_TIMES, About, Measure
from ops.plotting.ages import draw_ages
from ops.plotting.curve import Bar, draw_curve, ticks_of
from ops.plotting.departments import draw_departments, geometry
from ops.plotting.drawing import Form, Sheet, class_of, classes
from ops.plotting.picture import Kind, form_of, picture, write
from schemas.areas import departments
from schemas.errors import PermanentError
from schemas.figures import AGE_CLASSES, Extraction, Figure, Flag, Period
from tests.support import make_pictures

ABOUT: Final = About(
    measure=Measure.CASES,
    extraction=Extraction(number=7, at=datetime(2026, 3, 6, 8, tzinfo=UTC)),
    note="Simulated.",
)
_OVERSEAS: Final = ("971", "972", "973", "974", "976")
Draw = Callable[[Sheet, Sequence[Figure], About], None]


def day(number: int, cases: int | None = 10, **more: Any) -> Figure:
    return Figure(
        condition="sars-cov-2",
        area=more.pop("area", "france"),
        period=Period.DAY,
        label=f"2026-03-{number:02d}",
        cases=cases,
        **more,
    )


def week(number: int, age_class: str, cases: int | None = 10, **more: Any) -> Figure:
    return Figure(
        condition="influenza-a",
        area="region:84",
        period=Period.WEEK,
        label=f"2026-S{number:02d}",
        age_class=age_class,
        cases=cases,
        **more,
    )


def drawn(draw: Draw, figures: Sequence[Figure], about: About = ABOUT) -> Sheet:
    sheet = Sheet(figsize=(8, 5))
    draw(sheet, figures, about)
    return sheet


def words(sheet: Sheet) -> str:
    legends = [axes.get_legend() for axes in sheet.axes]
    texts = [text for legend in legends if legend is not None for text in legend.get_texts()]
    return " | ".join(text.get_text() for text in [*sheet.texts, *texts])


def patches(sheet: Sheet) -> list[Any]:
    return [patch for axes in sheet.axes for patch in axes.patches]


def bars(sheet: Sheet) -> dict[float, list[float]]:
    """Heights of all bars, by the middle of their day."""
    found: dict[float, list[float]] = {}
    for container in sheet.axes[0].containers:
        for bar in container:
            middle = round(bar.get_x() + bar.get_width() / 2, 6)
            found.setdefault(middle, []).append(bar.get_height())
    return found


def of_march(number: int) -> float:
    return float(datetime(2026, 3, number, tzinfo=UTC).toordinal())


def test_a_curve_says_of_what_it_is() -> None:
    said = words(drawn(draw_curve, [day(1), day(2)]))
    assert "SARS-CoV-2 (COVID-19): new cases" in said
    assert "France, 2026-03-01 to 2026-03-02, by day of sampling" in said
    assert "Extraction 7 of 2026-03-06 08:00 UTC. Simulated." in said
    assert "results still to come" not in said


def test_a_curve_of_some_says_of_whom() -> None:
    figures = [day(1, area="department:48", sex="F", age_class="29")]
    assert "Lozère (48), women aged 20 to 29, 2026-03-01" in words(drawn(draw_curve, figures))


def test_incomplete_days_are_shaded_and_rise_to_what_is_expected() -> None:
    figures = [
        day(1),
        day(2, 40, completeness=0.8, completeness_low=0.5, completeness_high=0.9),
    ]
    sheet = drawn(draw_curve, figures)
    assert bars(sheet)[of_march(1)] == [10.0]
    assert bars(sheet)[of_march(2)] == pytest.approx([40.0, 10.0])  # 40 have come, 50 expected
    said = words(sheet)
    assert "results still to come" in said
    assert "expected in the end, 95 % interval" in said


def test_a_day_that_is_only_flagged_is_shaded_and_nothing_is_added() -> None:
    sheet = drawn(draw_curve, [day(1), day(2, 4, flags=(Flag.INCOMPLETE,))])
    assert bars(sheet)[of_march(2)] == [4.0]
    assert "results still to come" in words(sheet)
    assert "expected" not in words(sheet)


def test_what_is_withheld_is_hatched_and_not_zero() -> None:
    sheet = drawn(draw_curve, [day(1), day(2, None, flags=(Flag.SUPPRESSED,)), day(3, 0)])
    hatched = [
        round(bar.get_x() + bar.get_width() / 2, 6)
        for container in sheet.axes[0].containers
        for bar in container
        if bar.get_hatch()
    ]
    assert hatched == [of_march(2)]
    assert "withheld" in words(sheet)


def test_a_positivity_is_not_scaled_by_completeness() -> None:
    figure = day(1, positivity=12.5, completeness=0.5)
    assert reading.expected_of(figure, Measure.POSITIVITY) is None
    assert reading.expected_of(figure, Measure.CASES) == pytest.approx((20, 20, 20))


def test_a_withheld_day_has_no_expectation() -> None:
    """A count must not come back through its completeness."""
    assert reading.expected_of(day(1, None, completeness=0.5), Measure.CASES) is None


def test_the_line_of_seven_days_stops_at_a_withheld_day() -> None:
    sheet = drawn(draw_curve, [day(each, None if each == 10 else each) for each in range(1, 25)])
    lines: list[Any] = list(sheet.axes[0].lines)
    points = [x for line in lines for x in line.get_xdata()]
    assert of_march(6) in points  # 3 to 9
    assert of_march(7) not in points
    assert of_march(13) not in points
    assert of_march(14) in points  # 11 to 17


@pytest.mark.parametrize("number", [1, 8, 40, 400, MOST_TIMES])
def test_a_curve_of_any_length_names_few_times(number: int) -> None:
    first = datetime(2024, 1, 1, tzinfo=UTC).toordinal()
    shown = [
        Bar(datetime.fromordinal(at).date().isoformat(), float(at), 3.0, None, is_incomplete=False)
        for at in range(first, first + number)
    ]
    assert 1 <= len(ticks_of(shown)) <= 10


def test_a_heat_map_has_a_field_for_each_age_and_week() -> None:
    figures = [
        week(number, age, None if age == "90" else number)
        for number in (9, 10)
        for age in AGE_CLASSES
    ] + [week(10, "0", 99)]
    sheet = drawn(draw_ages, figures)
    fields = {(patch.get_x(), patch.get_y()): patch.get_hatch() for patch in patches(sheet)}
    assert set(fields) == {(x, y) for x in (0, 1) for y in range(10)}
    assert [place for place, hatch in fields.items() if hatch] == [(0, 9), (1, 9)]
    assert "Auvergne-Rhône-Alpes, 2026-S09 to 2026-S10, by ISO week" in words(sheet)


def test_a_heat_map_marks_what_is_still_to_come() -> None:
    figures = [week(9, "19"), week(10, "19", flags=(Flag.INCOMPLETE,))]
    sheet = drawn(draw_ages, figures)
    assert [(p.get_x(), p.get_y()) for p in patches(sheet) if p.get_y() < 0] == [(1, -0.45)]
    assert "results still to come" in words(sheet)


def test_every_department_has_an_outline() -> None:
    assert set(geometry().departments) == {
        code for code in departments() if len(code) == 2 or code in _OVERSEAS
    }
    for code in geometry().departments:
        for ring in geometry().rings(code):
            assert len(ring) >= 3


def test_a_map_shows_what_is_withheld_and_what_has_no_figure() -> None:
    figures = [day(1, area="department:01"), day(1, None, area="department:2A")]
    sheet = drawn(draw_departments, figures)
    assert len(patches(sheet)) == 101 + 4  # the four of Paris are drawn twice
    assert sum(patch.get_hatch() is not None for patch in patches(sheet)) == 1
    said = words(sheet)
    assert "withheld" in said
    assert "no figure" in said


def test_where_all_is_withheld_no_class_is_named() -> None:
    said = words(drawn(draw_departments, [day(1, None, area="department:01")]))
    assert "withheld" in said
    assert " to " not in said.partition("by day of sampling")[2]


@pytest.mark.parametrize(
    ("draw", "figures", "reason"),
    [
        (draw_curve, [], "nothing_to_draw"),
        (draw_ages, [day(1)], "nothing_to_draw"),
        (draw_departments, [day(1)], "nothing_to_draw"),
        (draw_curve, [day(1), day(1, area="region:84")], "too_many_areas"),
        (draw_ages, [week(1, "19"), week(1, "19", sex="F")], "too_many_areas"),
        (
            draw_departments,
            [day(1, area="department:01"), day(2, area="department:02")],
            "too_many_times",
        ),
        (
            draw_curve,
            [
                Figure(
                    condition="rsv",
                    area="france",
                    period=Period.DAY,
                    label=datetime.fromordinal(735_000 + each).date().isoformat(),
                )
                for each in range(MOST_TIMES + 1)
            ],
            "too_many_times",
        ),
    ],
)
def test_what_is_no_picture_is_refused_with_a_remedy(
    draw: Draw, figures: list[Figure], reason: str
) -> None:
    with pytest.raises(PermanentError) as refused:
        drawn(draw, figures)
    assert refused.value.reason == reason
    assert refused.value.remedy


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=20))
def test_classes_are_few_round_and_hold_every_value(values: list[float]) -> None:
    bounds = classes(values)
    assert 1 <= len(bounds) <= 6
    assert bounds == sorted(set(bounds))
    assert max(values) <= bounds[-1] * (1 + 1e-9)
    for value in values:
        number = class_of(value, bounds)
        assert value <= bounds[number] * (1 + 1e-9)
        assert number == 0 or value > bounds[number - 1]


@pytest.mark.parametrize(
    ("kind", "figures", "form"),
    [
        (Kind.CURVE, make_pictures.curve_figures, Form.PNG),
        (Kind.CURVE, make_pictures.curve_figures, Form.SVG),
        (Kind.AGES, make_pictures.age_figures, Form.SVG),
        (Kind.MAP, make_pictures.map_figures, Form.SVG),
    ],
)
def test_the_same_figures_give_the_same_bytes(
    kind: Kind, figures: Callable[[], list[Figure]], form: Form
) -> None:
    about = make_pictures.RATES if kind is not Kind.CURVE else make_pictures.ABOUT
    once = picture(kind, figures(), about, form)
    assert picture(kind, list(reversed(figures())), about, form) == once
    if form is Form.SVG:
        root = ET.fromstring(once)
        assert root.tag.endswith("svg")
        assert b"SIMULATED" in once  # in its description, for readers that cannot see it
    else:
        assert once.startswith(b"\x89PNG")


def test_another_process_with_other_settings_draws_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("font.size: 30\nsvg.fonttype: none\n")
    script = (
        "import sys; from tests.support.make_pictures import *;"
        "sys.stdout.buffer.write(picture(Kind.CURVE, curve_figures(), ABOUT, Form.SVG))"
    )
    made = subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        capture_output=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONHASHSEED": "17", "MATPLOTLIBRC": str(tmp_path)},
    ).stdout
    assert made == picture(Kind.CURVE, make_pictures.curve_figures(), make_pictures.ABOUT, Form.SVG)


def test_pictures_of_the_readme_say_that_they_are_simulated() -> None:
    for name in ("curve", "ages", "map"):
        text = (make_pictures.OUT / f"indicators-{name}.svg").read_text()
        assert "SIMULATED" in text


def test_a_picture_is_written_whole(tmp_path: Path) -> None:
    write(tmp_path / "one.svg", b"<svg/>")
    assert [path.name for path in tmp_path.iterdir()] == ["one.svg"]
    assert (tmp_path / "one.svg").read_bytes() == b"<svg/>"


@pytest.mark.parametrize("name", ["curve.pdf", "curve", "curve.svg.txt"])
def test_other_forms_are_refused(name: str) -> None:
    with pytest.raises(PermanentError, match="bad_picture_name"):
        form_of(Path(name))
