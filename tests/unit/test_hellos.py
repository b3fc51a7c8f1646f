"""Peers before their handshake: who is silent, who speaks something else, and whose turn it is."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, cast

import pytest

from ops.runtime.hellos import Hello, Hellos, Peered

HELLO = b"\x16\x03\x01"


class Loop:
    """A loop that turns when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0
        self.soon: list[Callable[[], None]] = []
        self.readers: dict[Any, Callable[[], object]] = {}
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def call_at(self, when: float, callback: Callable[[], None]) -> None:
        self.timers.append((when, callback))

    def add_reader(self, taken: Any, callback: Callable[..., object], *args: Any) -> None:
        self.readers[taken] = lambda: callback(*args)

    def remove_reader(self, taken: Any) -> None:
        del self.readers[taken]

    def turn(self) -> None:
        soon, self.soon = self.soon, []
        for callback in soon:
            callback()

    def sleep_until(self, now: float) -> None:
        self.now = now
        due = [each for each in self.timers if each[0] <= now]
        self.timers = [each for each in self.timers if each[0] > now]
        for _, callback in due:
            callback()


class Sock:
    """A socket of which only a look at its first bytes is wanted."""

    def __init__(self, first: bytes | Exception | None) -> None:
        self.first = first

    def recv(self, size: int, flags: int) -> bytes:
        assert flags == socket.MSG_PEEK
        if self.first is None:
            raise BlockingIOError
        if isinstance(self.first, Exception):
            raise self.first
        return self.first[:size]


class Ground:
    """Peers, and what became of them."""

    def __init__(self, per_turn: int = 1) -> None:
        self.loop = Loop()
        self.has_room = True
        self.begun: list[str] = []
        self.gone: list[tuple[str, str]] = []
        self.names: dict[Hello, str] = {}
        self.hellos = Hellos(
            cast("asyncio.AbstractEventLoop", self.loop),
            per_turn=per_turn,
            may_begin=lambda: self.has_room,
            begin=lambda hello: self.begun.append(self.names[hello]),
            refuse=lambda hello, why: self.gone.append((self.names[hello], why)),
        )

    def come(
        self, name: str, first: bytes | Exception | None, address: str = "a", until: float = 10.0
    ) -> Sock:
        sock = Sock(first)
        hello = Hello(cast("socket.socket", sock), address, cast("Peered", None), until)
        self.names[hello] = name
        self.hellos.add(hello)
        return sock


@pytest.mark.parametrize(
    ("first", "why"),
    [
        (b"GET", "not_tls"),
        (b"\x0bMSH", "not_tls"),
        (b"\x16\x02", "not_tls"),
        (b"", "reset"),
        (ConnectionResetError(), "reset"),
    ],
)
def test_who_speaks_something_else_is_refused_without_a_session(
    first: bytes | Exception, why: str
) -> None:
    ground = Ground()
    ground.come("at once", first)
    late = ground.come("late", None)
    assert ground.gone == [("at once", why)]
    late.first = first
    ground.loop.readers[late]()
    assert ground.gone == [("at once", why), ("late", why)]
    assert not ground.loop.readers and not ground.loop.soon
    assert len(ground.hellos) == 0


def test_a_turn_of_the_loop_begins_few_and_each_address_has_its_turn() -> None:
    ground = Ground(per_turn=2)
    for number in range(5):
        ground.come(f"a{number}", HELLO)
    ground.come("b0", HELLO, "b")
    ground.come("b1", b"\x16", "b")  # a first byte alone is not refused yet
    assert ground.begun == []
    turns = []
    while ground.loop.soon:
        ground.loop.turn()
        turns.append(ground.begun)
        ground.begun = []
    assert turns == [["a0", "b0"], ["a1", "b1"], ["a2", "a3"], ["a4"]]
    assert ground.gone == []


def test_where_there_is_no_room_they_wait_until_there_is() -> None:
    ground = Ground(per_turn=2)
    ground.has_room = False
    ground.come("first", HELLO)
    ground.come("second", HELLO)
    ground.loop.turn()
    ground.loop.turn()
    assert ground.begun == [] and not ground.loop.soon
    ground.has_room = True
    ground.hellos.go_on()
    ground.loop.turn()
    assert ground.begun == ["first", "second"]
    ground.hellos.go_on()
    assert not ground.loop.soon


def test_who_says_nothing_is_refused_when_its_time_is_over_and_not_before() -> None:
    ground = Ground()
    ground.come("first", None, until=10.0)
    second = ground.come("second", None, until=11.0)
    ground.come("third", None, until=12.0)
    ground.loop.sleep_until(9.0)
    second.first = HELLO
    ground.loop.readers[second]()
    ground.loop.sleep_until(10.0)
    assert ground.gone == [("first", "timeout")]
    ground.loop.sleep_until(12.0)
    assert ground.gone == [("first", "timeout"), ("third", "timeout")]
    ground.loop.turn()
    assert ground.begun == ["second"]
    assert not ground.loop.readers and not ground.loop.timers


def test_a_look_that_finds_nothing_goes_on_waiting() -> None:
    ground = Ground()
    sock = ground.come("woken", None)
    ground.loop.readers[sock]()
    assert len(ground.hellos) == 1 and not ground.gone


def test_the_end_gives_back_everyone_who_waits() -> None:
    ground = Ground()
    for name, first, address in (("silent", None, "a"), ("x", HELLO, "a"), ("y", HELLO, "b")):
        ground.come(name, first, address)
    assert sorted(ground.names[each] for each in ground.hellos.close()) == ["silent", "x", "y"]
    assert not ground.loop.readers and len(ground.hellos) == 0
    ground.loop.turn()
    assert ground.begun == [] and ground.gone == []
