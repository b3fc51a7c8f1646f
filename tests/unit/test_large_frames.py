from __future__ import annotations

from ingest.large_frames import Room


class Peer:
    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.given = 0

    def room_given(self) -> None:
        self.given += 1


def test_one_owner_has_a_quarter_and_others_still_find_a_place() -> None:
    room = Room(8, 1e6)
    greedy = [Peer("greedy") for _ in range(20)]
    assert [room.ask(each) for each in greedy].count(True) == 2
    other = Peer("other")
    assert room.ask(other)
    room.leave(greedy[0])
    assert [each.given for each in greedy] == [0, 0, 1] + [0] * 17
    for each in greedy:
        room.leave(each)
    room.leave(other)
    assert len(room) == 0


def test_who_waits_first_and_fits_goes_on_first() -> None:
    room = Room(2, 1e6)
    a, b, c, d = Peer("a"), Peer("b"), Peer("a"), Peer("d")
    assert room.ask(a) and room.ask(b)
    assert not room.ask(c) and not room.ask(d)
    room.leave(b)
    assert (c.given, d.given) == (0, 1)  # the share of a is taken
    room.leave(a)
    assert (c.given, d.given) == (1, 1)
    assert room.ask(c)  # asking again takes no second place
    room.leave(c)
    room.leave(d)
    room.leave(d)
    assert len(room) == 0


def test_what_is_read_of_large_frames_keeps_to_the_pace() -> None:
    room = Room(16, 2**20)  # as much a second as may be read ahead
    assert room.rest_after(2**20, 100.0) == 0.0
    assert room.rest_after(2**19, 100.0) == 0.5
    assert room.rest_after(2**19, 100.0) == 1.0  # who comes behind waits behind
    assert room.rest_after(2**19, 101.0) == 0.5
    assert room.rest_after(2**20, 200.0) == 0.0
