"""docs/conditions.md says what the tables and the rules we ship say, and nothing else."""

from __future__ import annotations

from ops import conditions_page
from schemas.codes import ANALYSES, CONDITIONS


def test_the_page_is_what_the_tables_say() -> None:
    written = conditions_page.OUTPUT.read_text(encoding="utf-8")
    assert written == conditions_page.page(), "write it anew: python -m ops.conditions_page"


def test_every_condition_and_every_code_is_on_the_page() -> None:
    page = conditions_page.page()
    assert all(f"\n## {code}\n" in page for code in CONDITIONS)
    assert all(f"| `{code}` |" in page for code in ANALYSES)
