"""No bucket gives more than its burst and its rate; a turn is taken by everybody, in order."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Hashable
from datetime import date
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.fairness import Fairness, TokenBucket
from ingest.lab import Lab, LabLimits
from ingest.turns import Turns
from ops.runtime.group_append import in_turns

steps = st.lists(st.tuples(st.floats(0, 5), st.integers(0, 30)), max_size=40)


@settings(deadline=None)
@given(st.floats(0.1, 100), st.floats(0, 50), steps)
def test_a_bucket_never_gives_more_than_burst_and_rate(
    rate: float, burst: float, asked: list[tuple[float, int]]
) -> None:
    bucket = TokenBucket(rate, burst, 0.0)
    now, given_at = 0.0, list[float]()
    for wait, wanted in asked:
        now += wait
        given_at += [now for _ in range(wanted) if bucket.take(now)]
    for first, begin in enumerate(given_at):
        for last in range(first, len(given_at)):
            allowed = max(1.0, burst) + rate * (given_at[last] - begin)
            assert last - first + 1 <= allowed + 1e-6


@settings(deadline=None)
@given(
    st.floats(0.5, 50),
    st.integers(1, 50),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 4)), max_size=200),
)
def test_however_its_connections_ask_a_laboratory_gets_its_rate_at_most(
    rate: float, burst: int, asked: list[tuple[float, int]]
) -> None:
    fairness = Fairness()
    lab = Lab(lab_id=1, registry_id="L", limits=LabLimits(rate_per_second=rate, burst=burst))
    lines = [fairness.line(lambda: None) for _ in range(5)]
    now, taken = 0.0, 0
    for wait, which in asked:
        now += wait
        fairness.admit(lab, lines[which], now)
        taken += fairness.ask(lab, lines[which], now, lambda: date(2026, 3, 9)) is None
    assert taken <= burst + rate * now + 1e-6


@settings(deadline=None)
@given(st.lists(st.integers(1, 5), max_size=80), st.integers(1, 10))
def test_an_append_takes_of_each_laboratory_in_turn_and_in_its_order(
    labs: list[int], most: int
) -> None:
    queues: dict[int, deque[Any]] = {}
    for number, lab_id in enumerate(labs):
        queues.setdefault(lab_id, deque()).append((lab_id, number))
    taken: list[tuple[int, int]] = []
    while queues:
        waiting = {lab_id: len(queue) for lab_id, queue in queues.items()}
        batch: list[Any] = in_turns(queues, most)
        assert 0 < len(batch) <= most
        shares = [sum(lab == lab_id for lab, _ in batch) for lab_id in waiting]
        for lab_id, share in zip(waiting, shares, strict=True):
            # Who has more than another has it only because the other had no more.
            assert share == waiting[lab_id] or max(shares) - share <= 1
        taken += batch
    assert sorted(number for _, number in taken) == list(range(len(labs)))
    for lab_id in set(labs):
        own = [number for lab, number in taken if lab == lab_id]
        assert own == sorted(own)


class Loop:
    """A loop that runs what is called soon in turns, as asyncio does."""

    def __init__(self) -> None:
        self.soon: deque[Callable[[], None]] = deque()

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def turn(self) -> None:
        for _ in range(len(self.soon)):
            self.soon.popleft()()


class Peer:
    def __init__(
        self, lane: Hashable, turns: Turns, taken: list[tuple[Hashable, int, int]]
    ) -> None:
        self._lane, self._turns, self._taken = lane, turns, taken
        self.waiting: deque[int] = deque()

    @property
    def lane(self) -> Hashable:
        return self._lane

    def _take(self) -> None:
        self._taken.append((self._lane, id(self), self.waiting.popleft()))

    def take_turn(self) -> bool:
        if self.waiting:
            self._take()
        return bool(self.waiting)

    def come(self, messages: list[int]) -> None:
        self.waiting.extend(messages)
        while self.waiting and self._turns.take(self):
            self._take()


@settings(deadline=None)
@given(
    st.integers(1, 8),
    st.integers(1, 8),
    st.lists(st.tuples(st.integers(0, 5), st.integers(1, 20), st.booleans()), max_size=30),
)
def test_every_message_gets_its_turn_and_a_connections_order_stays(
    per_turn: int, per_lane: int, arrivals: list[tuple[int, int, bool]]
) -> None:
    loop, taken = Loop(), list[tuple[Hashable, int, int]]()
    turns = Turns(loop.call_soon, per_turn, per_lane)
    peers = [Peer(number % 3, turns, taken) for number in range(6)]
    sent = 0
    for which, count, is_turn in arrivals:
        peers[which].come(list(range(sent, sent + count)))
        sent += count
        if is_turn:
            before = len(taken)
            loop.turn()
            assert len(taken) - before <= per_turn
            of_lanes = Counter(lane for lane, _, _ in taken[before:])
            assert max(of_lanes.values(), default=0) <= per_lane
    while loop.soon:
        loop.turn()
    assert sorted(number for _, _, number in taken) == list(range(sent))
    for peer in peers:
        own = [number for _, who, number in taken if who == id(peer)]
        assert own == sorted(own)
    assert len(turns) == 0


@settings(deadline=None)
@given(st.integers(1, 8), st.integers(1, 8), st.integers(1, 60), st.integers(1, 200))
def test_one_message_never_waits_for_more_than_a_round(
    per_turn: int, per_lane: int, flooders: int, each: int
) -> None:
    loop, taken = Loop(), list[tuple[Hashable, int, int]]()
    turns = Turns(loop.call_soon, per_turn, per_lane)
    flood = [Peer("flood", turns, taken) for _ in range(flooders)]
    honest = Peer("honest", turns, taken)
    for peer in flood:
        peer.come(list(range(each)))
    already = len(taken)
    honest.come([0])
    while loop.soon and ("honest", id(honest), 0) not in taken:
        loop.turn()
    between = [lane for lane, _, _ in taken[already:]]
    assert between.index("honest") <= 1


def test_one_that_floods_has_short_turns_and_many_at_once_long_ones() -> None:
    loop, taken = Loop(), list[tuple[Hashable, int, int]]()
    turns = Turns(loop.call_soon, 8, 2)
    flood = Peer("flood", turns, taken)
    flood.come(list(range(20)))
    assert len(taken) == 2
    loop.turn()
    assert len(taken) == 4
    for number in range(20):
        Peer(number, turns, taken).come([0])
    sizes = []
    for _ in range(3):
        before = len(taken)
        loop.turn()
        lanes = [lane for lane, _, _ in taken[before:]]
        assert lanes.count("flood") <= 2
        sizes.append(len(lanes))
    assert sizes == [8, 8, 7]  # the others are done: the third is short again
    assert {lane for lane, _, _ in taken} == {"flood", *range(20)}
