"""Rows about laboratories: every fault named with line and column, what is not said left alone."""

from __future__ import annotations

import pytest
from msgspec import UNSET

from ops.register.lab_rows import LabRow, checked, read_csv
from schemas.errors import PermanentError


def test_a_file_says_only_what_its_cells_say() -> None:
    found = read_csv(
        "\ufeffregistry_id;name;state;facilities;rate_per_second;daily_quota\n"
        " lab  one ;Laboratoire É;LIVE;site b+Site A+lab one;2.5;1000\n"
        ";;;;;\n"
        "LAB2;;;none;none;\n".encode()
    )
    assert not found.errors
    one, two = found.rows
    assert one == LabRow(
        registry_id="LAB ONE", line=2, name="Laboratoire É", state="live",
        facilities=("SITE A", "SITE B"), rate_per_second=2.5, daily_quota=1000,
    )  # fmt: skip
    assert two == LabRow(registry_id="LAB2", line=4, facilities=(), rate_per_second=None)
    assert two.state is two.burst is UNSET


def test_every_fault_is_told_with_line_and_column() -> None:
    found = read_csv(
        b"registry_id,state,profile,subject,burst,rate_per_second,max_connections\n"
        b"A,gone,,,,,\n"
        b",live,,,,,\n"
        b"B,,german,lab7,,,\n"
        b"C,,,,0,-1,many\n"
        b"a,,,,,,\n"
        b"D,,,,,,,x\n"
        b"E|F,,,,,nan,\n"
    )
    assert [(each.line, each.column) for each in found.errors] == [
        (2, "state"),
        (3, "registry_id"),
        (4, "profile"),
        (4, "subject"),
        (5, "max_connections"),
        (5, "rate_per_second"),
        (5, "burst"),
        (6, "registry_id"),
        (7, ""),
        (8, "registry_id"),
        (8, "rate_per_second"),
    ]
    assert "line 2" in next(each.text for each in found.errors if each.line == 6)


def test_a_finess_with_a_wrong_check_digit_is_a_warning_and_no_error() -> None:
    found = read_csv(b"registry_id,facilities\n300017985,990010002\n300017986,LAB+300017984\n")
    assert not found.errors
    assert [(each.line, each.column) for each in found.warnings] == [
        (2, "facilities"), (3, "registry_id"), (3, "facilities"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"name\nx\n",
        b"registry_id,colour\nA,blue\n",
        b"registry_id,registry_id\nA,B\n",
        b"registry_id\n\xff\n",
        b'registry_id\n"a',
        b"registry_id\n" + b"A\n" * 20_001,
        b"x" * (17 * 1024 * 1024),
    ],
)
def test_a_file_that_is_none_is_an_error_and_never_an_exception(content: bytes) -> None:
    (error,) = read_csv(content).errors
    assert error.text


def test_one_row_is_refused_with_every_part_that_is_wrong() -> None:
    with pytest.raises(PermanentError, match=r"bad_laboratory: state must .*; burst must be 1 to"):
        checked(LabRow(registry_id="a", state="gone", burst=0))
    assert checked(LabRow(registry_id=" a\tb ")).registry_id == "A B"
