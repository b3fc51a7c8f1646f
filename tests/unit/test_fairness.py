"""Rates, quotas, connections and loops of a laboratory, in given time."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from uuid import UUID

import pytest

from ingest.fairness import Denial, FairLimits, Fairness, Line
from ingest.fairness_loops import LoopBreaker
from ingest.lab import Lab, LabLimits

MONDAY, TUESDAY = date(2026, 3, 9), date(2026, 3, 10)


def lab(number: int = 1, **limits: float) -> Lab:
    return Lab(lab_id=number, registry_id=f"LAB{number}", limits=LabLimits(**limits))  # type: ignore[arg-type]


def nothing() -> None:
    pass


def asked(
    fairness: Fairness, who: Lab, line: Line, now: float = 0.0, day: date = MONDAY
) -> Denial | None:
    denial = fairness.admit(who, line, now)
    return denial or fairness.ask(who, line, now, lambda: day)


def reason(denial: Denial | None) -> str:
    return "" if denial is None else denial.reason


# ---------------------------------------------------------------------------- rate and quota


def test_a_laboratory_without_limits_is_never_denied_and_never_counted() -> None:
    fairness = Fairness()
    line = fairness.line(nothing)
    assert all(asked(fairness, lab(), line) is None for _ in range(10_000))
    assert fairness.take_counts() == []


def test_over_its_rate_it_is_denied_and_its_connection_waits() -> None:
    fairness = Fairness(FairLimits(pause_seconds=2.0))
    who, line = lab(rate_per_second=10.0, burst=3), fairness.line(nothing)
    assert [reason(asked(fairness, who, line)) for _ in range(4)] == ["", "", "", "rate_limited"]
    assert 1.5 <= line.hold_seconds <= 2.5
    assert asked(fairness, who, line, now=0.1) is None
    assert reason(asked(fairness, who, line, now=0.1)) == "rate_limited"


def test_connections_that_wait_together_do_not_come_back_together() -> None:
    fairness = Fairness(FairLimits(pause_seconds=1.0))
    pauses = sorted(fairness.pause() for _ in range(100))
    assert 0.75 <= pauses[0] <= pauses[-1] <= 1.25
    assert max(later - sooner for sooner, later in pairwise(pauses)) < 0.02


def test_without_a_burst_there_is_a_second_of_the_rate_and_at_least_one() -> None:
    for rate, most in ((5.0, 5), (0.1, 1)):
        fairness = Fairness()
        who, line = lab(rate_per_second=rate), fairness.line(nothing)
        assert sum(asked(fairness, who, line) is None for _ in range(20)) == most


def test_a_connection_within_its_part_goes_on_beside_one_that_floods() -> None:
    fairness = Fairness()
    who = lab(rate_per_second=20.0, burst=40)
    flooding, quiet = fairness.line(nothing), fairness.line(nothing)
    asked(fairness, who, quiet)
    denied = 0
    for tenth in range(1, 600):
        now = tenth / 10
        for _ in range(50):
            denied += asked(fairness, who, flooding, now) is not None
        if tenth % 2 == 0:  # five a second: half of its even part
            assert asked(fairness, who, quiet, now) is None
    assert denied > 20_000


def test_changed_limits_hold_at_once_and_none_frees() -> None:
    fairness = Fairness()
    line = fairness.line(nothing)
    assert asked(fairness, lab(daily_quota=1), line) is None
    assert reason(asked(fairness, lab(daily_quota=1), line)) == "quota_reached"
    assert asked(fairness, lab(daily_quota=2), line) is None
    assert reason(asked(fairness, lab(daily_quota=2), line)) == "quota_reached"
    assert asked(fairness, lab(), line) is None


def test_a_quota_is_of_the_day() -> None:
    fairness = Fairness()
    who, line = lab(daily_quota=2), fairness.line(nothing)
    assert [reason(asked(fairness, who, line)) for _ in range(3)] == ["", "", "quota_reached"]
    assert fairness.over_quota(MONDAY) == 1
    assert asked(fairness, who, line, day=TUESDAY) is None
    assert fairness.over_quota(TUESDAY) == 0


def test_a_message_over_its_rate_does_not_count_for_the_quota() -> None:
    fairness = Fairness()
    who, line = lab(rate_per_second=1.0, burst=1, daily_quota=100), fairness.line(nothing)
    for _ in range(50):
        asked(fairness, who, line)
    assert fairness.take_counts() == [(1, MONDAY, 1)]


# ---------------------------------------------------------------------------- several processes


def exchange(doors: list[Fairness], totals: dict[int, int], now: float) -> None:
    """What the table does for the doors of an instance: one after the other adds and reads."""
    for door in doors:
        told = door.take_counts()
        for lab_id, _, n in told:
            totals[lab_id] = totals.get(lab_id, 0) + n
        door.learn(MONDAY, totals, told, now)


def test_several_processes_share_one_quota_up_to_what_a_second_brings() -> None:
    doors = [Fairness() for _ in range(3)]
    who, totals = lab(daily_quota=100), dict[int, int]()
    lines = [door.line(nothing) for door in doors]
    taken = 0
    for second in range(60):
        for door, line in zip(doors, lines, strict=True):
            for _ in range(5):
                taken += asked(door, who, line, float(second)) is None
        exchange(doors, totals, float(second))
    assert 100 <= taken <= 100 + 2 * 5


def test_several_processes_share_one_rate() -> None:
    doors = [Fairness() for _ in range(3)]
    who, totals = lab(rate_per_second=10.0, burst=10), dict[int, int]()
    lines = [door.line(nothing) for door in doors]
    exchange(doors, totals, 0.0)
    taken = 0
    for tenth in range(3_000):
        now = tenth / 10
        for door, line in zip(doors, lines, strict=True):
            for _ in range(5):
                taken += asked(door, who, line, now) is None
        if tenth % 10 == 9:
            exchange(doors, totals, now)
    # Each process has its burst, and a second of the rate before it hears of the others.
    assert 2_500 <= taken <= 3_000 + 3 * (10 + 10)


def test_a_process_that_begins_again_knows_the_day() -> None:
    fairness = Fairness()
    fairness.learn(MONDAY, {1: 100}, [], 0.0)
    denial = asked(fairness, lab(daily_quota=100), fairness.line(nothing))
    assert reason(denial) == "quota_reached"


def test_what_could_not_be_told_is_told_later() -> None:
    fairness = Fairness()
    line = fairness.line(nothing)
    asked(fairness, lab(daily_quota=9), line)
    counts = fairness.take_counts()
    asked(fairness, lab(daily_quota=9), line)
    fairness.give_back(counts)
    assert fairness.take_counts() == [(1, MONDAY, 2)]


# ---------------------------------------------------------------------------- connections, window


def test_one_connection_too_many_is_told_so_and_the_others_stay() -> None:
    fairness = Fairness(FairLimits(max_connections=2))
    lines = [fairness.line(nothing) for _ in range(3)]
    assert [reason(asked(fairness, lab(), line)) for line in lines] == [
        "",
        "",
        "connection_limit_reached",
    ]
    denial = asked(fairness, lab(), lines[2])
    assert denial is not None
    assert denial.hang_up
    assert asked(fairness, lab(2), fairness.line(nothing)) is None
    lines[0].part()
    assert asked(fairness, lab(), fairness.line(nothing)) is None


def test_the_registers_number_of_connections_goes_before_the_setting() -> None:
    fairness = Fairness(FairLimits(max_connections=2))
    who = lab(max_connections=3)
    lines = [fairness.line(nothing) for _ in range(4)]
    assert [asked(fairness, who, line) is None for line in lines] == [True, True, True, False]


def test_a_full_window_lets_connections_on_in_the_order_they_waited() -> None:
    fairness = Fairness(FairLimits(window_frames=2))
    woken: list[int] = []
    lines = [fairness.line(lambda number=number: woken.append(number)) for number in range(4)]  # type: ignore[misc]
    for line in lines:
        asked(fairness, lab(), line)
    share = lines[0].share
    assert share is not None
    assert not lines[0].wait()
    share.enter()
    share.enter()
    assert [line.wait() for line in lines] == [True] * 4
    lines[1].part()
    share.leave()
    assert woken == [0]
    share.leave()
    assert woken == [0, 2, 3]
    assert not lines[3].wait()


def test_without_a_connection_a_full_window_is_denied() -> None:
    fairness = Fairness(FairLimits(window_frames=1))
    line, denial = fairness.admit_alone(lab(), 0.0)
    assert denial is None
    assert line.share is not None
    line.share.enter()
    again, denial = fairness.admit_alone(lab(), 0.0)
    assert again is line
    assert reason(denial) == "backpressure"
    assert fairness.admit_alone(lab(2), 0.0)[1] is None


# ---------------------------------------------------------------------------- loops

KEY = UUID(int=1)


@pytest.fixture
def breaker() -> LoopBreaker:
    return LoopBreaker(repeats=3, seconds=60.0, keys=2)


def test_a_loop_is_answered_only_once_an_append_was_seen_durable(breaker: LoopBreaker) -> None:
    assert not any(breaker.is_loop(KEY, ("accept", 1), 0.0) for _ in range(100))
    assert breaker.watches(KEY)
    breaker.is_durable(KEY, ("accept", 1))
    assert not breaker.watches(KEY)
    assert breaker.is_loop(KEY, ("accept", 1), 0.0)


def test_the_first_equal_messages_are_appended_all_the_same(breaker: LoopBreaker) -> None:
    said = []
    for _ in range(5):
        said.append(breaker.is_loop(KEY, ("accept", 1), 0.0))
        breaker.is_durable(KEY, ("accept", 1))
    assert said == [False, False, False, True, True]


def test_another_verdict_about_the_same_bytes_is_appended(breaker: LoopBreaker) -> None:
    for _ in range(5):
        breaker.is_loop(KEY, ("refuse", 1), 0.0)
        breaker.is_durable(KEY, ("refuse", 1))
    assert breaker.is_loop(KEY, ("refuse", 1), 0.0)
    assert not breaker.is_loop(KEY, ("accept", 2), 0.0)
    breaker.is_durable(KEY, ("refuse", 1))  # an append of before, heard of late
    assert not any(breaker.is_loop(KEY, ("accept", 2), 0.0) for _ in range(9))


def test_after_its_time_the_bytes_are_appended_again(breaker: LoopBreaker) -> None:
    for _ in range(5):
        breaker.is_loop(KEY, ("accept", 1), 0.0)
        breaker.is_durable(KEY, ("accept", 1))
    assert breaker.is_loop(KEY, ("accept", 1), 59.0)
    assert not breaker.is_loop(KEY, ("accept", 1), 61.0)
    assert not breaker.is_loop(KEY, ("accept", 1), 61.0)


def test_what_is_kept_in_mind_is_bounded(breaker: LoopBreaker) -> None:
    for number in range(1_000):
        breaker.is_loop(UUID(int=number), ("accept", 1), 0.0)
    assert len(breaker) == 2
    breaker.is_durable(UUID(int=3), ("accept", 1))
    assert len(breaker) == 2
