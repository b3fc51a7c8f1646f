"""The reasons of holds: a closed set, each with a page row, an owner and a way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.holding.reasons import PAIRS, REASONS, releasable
from ops.runtime.settings import Settings
from routing.doubts import DOUBTS
from routing.router import load_own_rules
from routing.rules import FIRST_LINE_AWAITED, NOT_QUALIFIED, WRONG_REALM
from schemas.errors import PermanentError

DOCS = Path(__file__).parents[2] / "docs"


def test_every_reason_that_a_stream_can_wait_for_is_known() -> None:
    assert REASONS.keys() == DOUBTS | {NOT_QUALIFIED, WRONG_REALM, FIRST_LINE_AWAITED}
    assert len(PAIRS) == len(set(PAIRS)) == 3 * len(REASONS)
    waited_for = frozenset().union(*(rule.holds_on for rule in load_own_rules().rules))
    assert waited_for == DOUBTS, "a doubt that no rule waits for is none"


@pytest.mark.parametrize("code", sorted(REASONS))
def test_each_says_what_to_do_and_has_a_row_on_both_pages(code: str) -> None:
    reason = REASONS[code]
    assert reason.means
    assert reason.to_do
    for page in ("holds.md", "runbooks/holds.md"):
        rows = [
            line
            for line in (DOCS / page).read_text("utf-8").splitlines()
            if line.lstrip().startswith(f"| `{code}` |")
        ]
        assert len(rows) == 1, page
    row = next(
        line
        for line in (DOCS / "holds.md").read_text("utf-8").splitlines()
        if line.startswith(f"| `{code}` |")
    )
    said = row.rstrip("| ").rpartition("|")[2].strip()
    assert said.startswith("Yes" if reason.may_be_released else "No")
    if reason.alerts_after:
        assert reason.alerts_after in Settings.model_fields


def test_what_nobody_may_release_says_what_to_do_instead() -> None:
    for code, reason in REASONS.items():
        if reason.may_be_released:
            assert releasable(code) is reason
        else:
            with pytest.raises(PermanentError) as caught:
                releasable(code)
            assert caught.value.reason == "not_releasable"
            assert reason.to_do in caught.value.remedy
    with pytest.raises(PermanentError) as caught:
        releasable("mood")
    assert caught.value.reason == "no_such_reason"


def test_the_table_of_statuses_is_the_same_on_the_page() -> None:
    page = (DOCS / "holds.md").read_text("utf-8")
    for said in ("F, U", "C", "P", "A", "O, S, I, R, N", "A, P, F, C, U with ORC-1 CA, CR or OC"):
        assert f"\n| {said} | " in page
