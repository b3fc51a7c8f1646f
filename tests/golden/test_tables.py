"""The compact tables are what hl7apy's own tables say; making them again gives the same bytes."""

from __future__ import annotations

import pytest

from tests.support.make_tables import FOLDER, MESSAGES, VERSIONS, compact

AGAIN = "write them anew: python -m tests.support.make_tables"


@pytest.mark.parametrize("version", VERSIONS)
def test_made_again_the_tables_are_the_same_bytes(version: str) -> None:
    assert (FOLDER / f"{version}.json").read_text() == compact(version), AGAIN


def test_every_version_has_its_file_and_no_file_is_of_no_version() -> None:
    assert {path.name for path in FOLDER.glob("*.json")} == {f"{v}.json" for v in VERSIONS}
    assert len(MESSAGES) == 5
