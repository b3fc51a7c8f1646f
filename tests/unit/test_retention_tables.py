"""No table and no column without a word on what it holds of persons, and how that goes."""

from __future__ import annotations

import re
from importlib import resources

from ops.retention.tables import CLASSES, table_rules
from ops.retention_page import TARGET, page

COLUMN = re.compile(r"column (\w+)\.(\w+) (\w+)")


def columns_of_the_schema() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    text = (resources.files("schemas") / "sql" / "snapshot.txt").read_text("utf-8")
    for table, column, kind in COLUMN.findall(text):
        found.setdefault(table, {})[column] = kind
    return found


def test_every_column_of_every_table_is_declared() -> None:
    schema = columns_of_the_schema()
    rules = table_rules()
    assert len(schema) > 60
    assert set(rules) == set(schema), "declare the table in ops/retention/tables.json"
    for table, columns in schema.items():
        assert rules[table].columns == set(columns), f"declare all columns of {table}"


def test_whatever_is_sealed_has_an_age() -> None:
    aged = {"intake", "names", "public-health", "identity", "codes", "batches"}
    for table, columns in columns_of_the_schema().items():
        rule = table_rules()[table]
        sealed = {c for c, what in rule.about_persons.items() if what.startswith("sealed")}
        if table != "stream_event":
            assert sealed >= {c for c in columns if c == "payload"}, table
        assert not sealed or rule.kind in aged, table


def test_classes_are_known_and_used() -> None:
    assert {rule.kind for rule in table_rules().values()} == set(CLASSES)


def test_the_page_is_generated() -> None:
    """`python -m ops.retention_page` writes it."""
    assert TARGET.read_text("utf-8") == page()
