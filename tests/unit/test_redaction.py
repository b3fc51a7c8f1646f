"""The redaction report is true: each input field is changed, and each body looked at."""

from __future__ import annotations

import pytest

from ops.redaction_page import FOLDER, name_of, page
from routing.redaction import ADDED, FIELDS, GROUNDS, InputField, Treatment
from schemas.decision import ProjectionName
from tests.support.fields import paths
from tests.support.redacting import ADDITIONS, added, measured


def test_every_field_of_a_message_is_declared_once() -> None:
    assert [field.path for field in ADDED] == list(ADDITIONS)
    assert sorted(field.path for field in FIELDS) == sorted(paths())


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.path)
def test_what_is_declared_of_a_field_is_what_becomes_of_it(field: InputField) -> None:
    found = {name: measured(name, field.path).value for name in ProjectionName}
    assert found == {name: cell.treatment.value for name, cell in field.cells.items()}


@pytest.mark.parametrize("field", ADDED, ids=lambda field: field.path)
def test_what_the_hub_adds_is_declared_too(field: InputField) -> None:
    found = {name: added(name, field.path).value for name in ProjectionName}
    assert found == {name: cell.treatment.value for name, cell in field.cells.items()}


def test_every_ground_is_used_and_every_transformation_says_into_what() -> None:
    cells = [cell for field in (*FIELDS, *ADDED) for cell in field.cells.values()]
    assert {cell.ground for cell in cells} == set(GROUNDS)
    for cell in cells:
        assert bool(cell.how) == (cell.treatment is Treatment.TRANSFORMED)


@pytest.mark.parametrize("projection", ProjectionName)
def test_the_report_is_the_declarations(projection: ProjectionName) -> None:
    held = (FOLDER / f"{name_of(projection)}.md").read_text("utf-8")
    assert held == page(projection), "python -m ops.redaction_page"
