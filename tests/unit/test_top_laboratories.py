"""Lists of laboratories in metrics: never more names than said, and no flicker at the edge."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ops.measuring.laboratories import LabFigures
from ops.measuring.top import TOLD, TopLaboratories, _leading
from ops.runtime.metrics import Told, render

NOTHING: Any = None


def lab(name: str, **counts: Any) -> LabFigures:
    zero = dict.fromkeys(
        ("received", "turned_away", "dispatched", "duplicate", "refused", "parked", "flagged"), 0
    )
    unknown = dict.fromkeys(
        ("flagged_ratio", "last_message_at", "silent_seconds", "connections", "quota",
         "quota_used_ratio")
    )  # fmt: skip
    given: dict[str, Any] = {"state": "live", "name": "", **zero, **unknown, **counts}
    return LabFigures(laboratory=name, **given)


def told_of(told: Told) -> dict[str, dict[str, float]]:
    return {
        family.name: {sample.labels["laboratory"]: sample.value for sample in family.samples}
        for family in told.collect()
    }


def test_who_leads_is_told_and_nobody_else() -> None:
    told = Told()
    top = TopLaboratories(NOTHING, told, most=2, keep_days=1)
    top.tell(
        [
            lab("A", received=5, refused=1, silent_seconds=9.0),
            lab("B", received=7, silent_seconds=900.0),
            lab("C", received=6, turned_away=3, parked=2),
            lab("D", silent_seconds=5_000.0, state="suspended"),
        ],
        {"B": 5.5, "C": 2.5, "A": 7.0},
    )
    received, refused, silent, surprising = (told_of(told)[name] for name in TOLD)
    assert received == {"B": 7, "C": 6}
    assert refused == {"C": 5, "A": 1}
    assert silent == {"B": 900, "A": 9}
    assert surprising == {"A": 7, "B": 5.5}
    text = render(told).decode()
    assert 'labdispatch_laboratory_top_received{laboratory="B"} 7.0' in text
    top.stop()
    assert "labdispatch_laboratory_top" not in render(told).decode()


def test_two_that_take_turns_at_the_edge_make_no_new_series() -> None:
    before = _leading({"A": 9, "B": 8, "C": 7}, [], 2)
    assert before == ["A", "B"]
    for number in range(10):
        values = {"A": 9, "B": 8.0 - number % 2, "C": 7.5, "D": 1}
        assert _leading(values, before, 2) == ["A", "B"]
    far = {"A": 9, "B": 1.0, "C": 7.5, "D": 6, "E": 5}
    assert _leading(far, before, 2) == ["A", "C"]


@given(
    rounds=st.lists(st.dictionaries(st.sampled_from("ABCDEFGHIJ"), st.integers(1, 20)), max_size=6),
    most=st.integers(0, 4),
)
def test_a_list_never_names_more_than_it_may(rounds: list[dict[str, float]], most: int) -> None:
    named: list[str] = []
    for values in rounds:
        named = _leading(values, named, most)
        assert len(named) == len(set(named)) == min(most, len(values))
        assert set(named) <= set(values)
        best = sorted(values, key=lambda each: (-values[each], each))
        assert set(named) <= set(best[: max(1, 2 * most)])
        assert named[: (most + 1) // 2] == best[: (most + 1) // 2], "who leads is always named"


def test_a_new_leader_takes_the_place_of_the_last_of_those_named() -> None:
    values: dict[str, float] = {f"L{n}": 100 - n for n in range(20)}
    before = _leading(values, [], 10)
    after = _leading({**values, "NEW": 1_000}, before, 10)
    assert after == ["NEW", *before[:9]]


def test_none_is_named_where_none_may_be() -> None:
    told = Told()
    TopLaboratories(NOTHING, told, most=0, keep_days=1).tell([lab("A", received=5)])
    assert all(not values for values in told_of(told).values())
