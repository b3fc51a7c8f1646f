"""What a steward reads at a terminal, and the moments that a command understands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ops.stewards.as_text import age, done_as_text, history_as_text, items_as_text
from ops.stewards.commands import moment
from ops.stewards.desk import Event, Item
from ops.stewards.done import Done
from schemas.errors import PermanentError

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("30m", NOW - timedelta(minutes=30)),
        ("24h", NOW - timedelta(hours=24)),
        ("7d", NOW - timedelta(days=7)),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
        ("2026-11-20T10:00+01:00", datetime(2026, 11, 20, 9, tzinfo=UTC)),
    ],
)
def test_moments(text: str, found: datetime) -> None:
    assert moment(text, NOW) == found


@pytest.mark.parametrize(
    "text", ["", "d", "yesterday", "-3d", "99999999999d", "2026-13-01", "999999d"]
)
def test_what_names_no_moment_is_told_with_a_remedy(text: str) -> None:
    with pytest.raises(PermanentError, match="bad_since"):
        moment(text, NOW)


def test_ages() -> None:
    ages = [timedelta(minutes=5), timedelta(hours=3), timedelta(days=12), timedelta(-1)]
    assert [age(NOW - each, NOW) for each in ages] == ["5m", "3h", "12d", "0m"]


def test_the_queue_says_what_was_put_off_and_proposed() -> None:
    item = Item(
        item=7, opened_at=NOW - timedelta(hours=3), kind="guard", priority=2, guard="score",
        person=12, other=3, bits=-1.5, postponed_at=NOW, proposed_by="steward.one",
    )  # fmt: skip
    text = items_as_text([item], NOW)
    assert "12 3 (put off) (same, says steward.one)" in text
    assert "-1.5" in text and "3h" in text
    assert items_as_text([], NOW) == "nothing waits for a steward\n"


def test_an_act_says_how_it_is_undone() -> None:
    text = done_as_text(Done(act="merge", event=15, persons=(3,), reports=2, stream_events=4))
    assert "one person now: 3; 2 reports looked at, 4 events to the streams" in text
    assert "labdispatch identity undo 15" in text
    asked = done_as_text(Done(act="proposed", persons=(3, 5)))
    assert "another steward" in asked and "undo" not in asked
    rest = done_as_text(Done(act="oppose", event=1, persons=(3,), unreadable=2, remaining=True))
    assert "2 reports can be read no more" in rest and "dispatch goes on" in rest


def test_a_history_names_events_and_who() -> None:
    event = Event(
        event=15, at=NOW, kind="merge", person=3, other=12, rule="verdict", model="",
        actor="steward.one", record="",
    )  # fmt: skip
    assert "15 2026-11-27 12:00:00 merge    3 and 12 by verdict (steward.one)" in history_as_text(
        [event]
    )
    assert history_as_text([]) == "  nothing\n"
