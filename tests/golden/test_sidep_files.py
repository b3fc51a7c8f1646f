"""SI-DEP's own files, and the notes beside them, one golden file a layout: `tests/golden/sidep`.

`python -m tests.golden.test_sidep_files` writes them anew: read what it changes.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from routing.sidep_files import LAYOUTS, Layout, file_name, layout_of, lines_of
from routing.sidep_notes import PREFIX, note_lines, notes_name
from schemas.errors import PermanentError
from schemas.figures import AGE_CLASSES, ALL_AGES, SEXES, Figure, Flag, Period

FOLDER = Path(__file__).parent / "sidep"
AREAS = {"france": 9_000, "region:94": 700, "department:2A": 300, "department:2B": 400}
WITHHELD = ("department:2A", "90")
HELD = {
    ("department:2B", "19", ""): (Flag.TESTS_HELD,),
    ("region:94", "29", "F"): (Flag.POSITIVES_HELD, Flag.INCOMPLETE),
    ("france", "0", ""): (Flag.TESTS_HELD, Flag.VARIANTS_HELD),
}
TIMES = {
    Period.DAY: ("2026-03-05", "2026-03-06"),
    Period.SEVEN_DAYS: ("2026-03-05", "2026-03-06"),
    Period.WEEK: ("2026-S09", "2026-S10"),
}


def figure(area: str, period: Period, label: str, age: str, sex: str) -> Figure:
    """An invented figure; persons of unknown sex are in the total alone."""
    weight = AREAS[area] * {"": 100, "F": 52, "M": 47}[sex] // 100
    if age != ALL_AGES:
        weight = weight * (AGE_CLASSES.index(age) + 3) // 75
    common = {"condition": "covid-19", "area": area, "age_class": age, "sex": sex}
    if (area, age) == WITHHELD:
        return Figure(
            **common,  # type: ignore[arg-type]
            period=period,
            label=label,
            population=weight * 100,
            incidence_class="[0;20[",
            variants=(None,) * 6,
            flags=(Flag.SUPPRESSED,),
        )
    return Figure(
        **common,  # type: ignore[arg-type]
        period=period,
        label=label,
        tests=weight * 11,
        positive_tests=weight + 3,
        persons=weight * 10,
        positive_persons=weight + 2,
        eligible_persons=weight * 9,
        cases=weight,
        population=weight * 100,
        screened=weight // 2,
        variants=(weight // 4, weight // 8, weight // 3, 0, weight // 5, weight // 6),
        incidence_class="[500;1000[",
        positivity_class="[10;20[",
        screening_class="[8000;Max]",
        flags=HELD.get((area, age, sex), ()),
    )


def tables() -> Iterable[list[Figure]]:
    for period, labels in TIMES.items():
        for label in labels:
            yield [
                figure(area, period, label, age, sex)
                for sex in (*SEXES, "")
                for age in (*AGE_CLASSES[::-1], ALL_AGES)
                for area in sorted(AREAS)
            ]


def written(layout: Layout) -> str:
    return "".join(lines_of(layout, tables()))


def notes(layout: Layout, *given: list[Figure]) -> str:
    return "".join(note_lines(layout, given or tables()))


def noted(name: str, *given: Figure) -> list[dict[str, str]]:
    return list(csv.DictReader(notes(LAYOUTS[name], list(given)).splitlines(), delimiter=";"))


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_a_file_is_what_it_was(name: str) -> None:
    assert written(LAYOUTS[name]) == (FOLDER / f"{name}.csv").read_text("utf-8")
    assert notes(LAYOUTS[name]) == (FOLDER / f"{PREFIX}{name}.csv").read_text("utf-8")


def test_no_golden_file_is_of_no_layout() -> None:
    known = {f"{prefix}{name}" for name in LAYOUTS for prefix in ("", PREFIX)}
    assert {path.stem for path in FOLDER.glob("*.csv")} == known


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_each_note_is_of_one_line_and_of_columns_of_its_file(name: str) -> None:
    rows = list(csv.DictReader(written(LAYOUTS[name]).splitlines(), delimiter=";"))
    area, time, *_ = rows[0]
    keys = (area, time, "cl_age90")
    lines = {tuple(row[key] for key in keys): row for row in rows}
    found = csv.DictReader(notes(LAYOUTS[name]).splitlines(), delimiter=";")
    assert found.fieldnames == [*keys, "held", "withheld", "flags"]
    for note in found:
        row = lines.pop(tuple(note[key] for key in keys))
        assert all(row[column] for column in note["held"].split())
        assert not any(row[column] for column in note["withheld"].split())
        assert "suppressed" not in note["flags"]
        assert "held" not in note["flags"]
    # Of a line without a note nothing is withheld.
    counts = {"P", "T", "P_f", "P_h", "T_f", "T_h", "nb_pos", "nb_crib"}
    assert all(row[column] for row in lines.values() for column in counts.intersection(row))


def test_what_is_held_is_said_of_its_column_alone() -> None:
    held = figure("region:94", Period.DAY, "2026-03-06", "29", "F")
    whole = figure("region:94", Period.DAY, "2026-03-06", "29", "")
    (note,) = noted("sp-pos-quot-reg", held, whole)
    assert (note["held"], note["withheld"], note["flags"]) == ("P_f", "", "incomplete")
    # Where women have no column, nothing of theirs is said.
    assert noted("sp-pos-quot-dep", held, whole) == []


def test_what_is_not_known_is_not_called_withheld() -> None:
    nobody = Figure(
        condition="covid-19", area="france", period="week", label="2026-S10",
        positive_tests=0, screened=0, variants=(0,) * 6, flags=(Flag.NO_POPULATION,),
    )  # fmt: skip
    assert noted("sp-variants-hebdo-fra", nobody) == []
    (note,) = noted("sp-pe-tb-hebdo-fra", nobody)
    assert (note["held"], note["withheld"], note["flags"]) == ("", "", "no_population")


def test_a_class_that_is_withheld_is_told_from_an_area_without_classes() -> None:
    small = Figure(
        condition="covid-19", area="department:2A", period="week", label="2026-S10",
        flags=(Flag.CLASSED, Flag.SUPPRESSED), incidence_class="[0;20[",
    )  # fmt: skip
    (note,) = noted("sp-classes-hebdo-dep", small)
    assert (note["withheld"], note["flags"]) == ("tp_classe td_classe", "classed")
    large = msgspec.structs.replace(small, flags=(Flag.SUPPRESSED,))
    assert noted("sp-classes-hebdo-dep", large) == []


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("sp-pos-quot-dep", "dep;jour;P;T;cl_age90"),
        ("sp-pos-quot-fra", "fra;jour;P_f;P_h;P;T_f;T_h;T;cl_age90;pop"),
        ("sp-pe-tb-quot-reg", "reg;jour;P_f;P_h;P;pop_f;pop_h;cl_age90;pop"),
    ],
)
def test_headers_that_are_published_are_to_the_letter(name: str, header: str) -> None:
    assert written(LAYOUTS[name]).splitlines()[0] == header


def test_the_published_first_line_of_france_comes_out_to_the_letter() -> None:
    by_sex = {"": (904, 39921, 67114995), "F": (538, 23392, None), "M": (363, 16349, None)}
    table = [
        Figure(
            condition="covid-19",
            area="france",
            period="day",
            label="2020-05-13",
            sex=sex,
            cases=cases,
            eligible_persons=persons,
            population=people,
        )
        for sex, (cases, persons, people) in by_sex.items()
    ]
    lines = list(lines_of(layout_of("sp-pos-quot-fra"), [table]))
    assert lines[1] == "FR;2020-05-13;538;363;904;23392;16349;39921;0;67114995\n"


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_every_line_has_every_column_and_ages_are_in_order(name: str) -> None:
    rows = list(csv.DictReader(written(LAYOUTS[name]).splitlines(), delimiter=";"))
    area = name.rpartition("-")[2]
    places = {"fra": ["FR"], "reg": ["94"], "dep": ["2A", "2B"]}[area]
    assert len(rows) == len(places) * 2 * 11
    assert all(None not in row and None not in row.values() for row in rows)
    assert [row["cl_age90"] for row in rows] == ["0", *AGE_CLASSES] * (len(places) * 2)
    assert sorted({row[area] for row in rows}) == places


def test_what_is_withheld_is_empty_and_never_zero() -> None:
    for name in ("sp-pos-quot-dep", "sp-pe-tb-hebdo-dep", "sp-variants-hebdo-dep"):
        rows = csv.DictReader(written(LAYOUTS[name]).splitlines(), delimiter=";")
        withheld = [row for row in rows if (row["dep"], row["cl_age90"]) == ("2A", "90")]
        assert len(withheld) == 2
        for row in withheld:
            counts = {key: value for key, value in row.items() if key[:2] in {"P", "T", "nb", "tx"}}
            assert counts
            assert set(counts.values()) == {""}


def test_a_file_without_figures_is_its_header() -> None:
    assert list(lines_of(layout_of("sp-pos-quot-dep"), [])) == ["dep;jour;P;T;cl_age90\n"]


def test_a_file_is_named_by_its_extraction() -> None:
    at = datetime(2026, 3, 9, 19, 15, 59, tzinfo=UTC)
    name = "sp-pos-quot-dep-2026-03-09-19h15.csv"
    assert file_name(layout_of("sp-pos-quot-dep"), at) == name
    # Whoever reads `sp-pos-quot-dep-*.csv` must not find the notes.
    assert notes_name(layout_of("sp-pos-quot-dep"), at) == f"notes-{name}"


def test_an_unknown_layout_is_refused_with_those_there_are() -> None:
    with pytest.raises(PermanentError) as refused:
        layout_of("../sp-pos-quot-dep")
    assert refused.value.reason == "unknown_layout"
    assert "sp-pos-quot-dep" in refused.value.remedy
    assert "../" not in str(refused.value)


def _write() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, layout in LAYOUTS.items():
        (FOLDER / f"{name}.csv").write_text(written(layout), "utf-8")
        (FOLDER / f"{PREFIX}{name}.csv").write_text(notes(layout), "utf-8")


if __name__ == "__main__":
    _write()
