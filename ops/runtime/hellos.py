"""Peers of a TLS door before their handshake: silent, or in line for it, address by address.

A session costs a hundred times what a look at a first byte costs. Who says nothing has none, who
speaks something else never gets one, and of the others a few begin in one turn of the loop: what
is open already is served in between. An address that sends thousands waits behind itself.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, Literal, Protocol

_HANDSHAKE_RECORD: Final = b"\x16\x03"
"""RFC 8446 5.1: every ClientHello since SSL 3.0 begins so."""

Gone = Literal["not_tls", "timeout", "reset"]
"""Why a peer gets no session."""


class Peered(Protocol):
    """One peer of a host, from before its handshake on."""

    def protocol(self) -> asyncio.Protocol:
        """Return what hears of the peer; `connection_made` comes after the handshake alone."""
        ...

    def refused(self) -> None:
        """Count the peer out: its handshake failed, `connection_made` never came."""
        ...


class Hello:
    """One accepted socket that has no session yet.

    Args:
        taken: Not blocking.
        address: Of the peer: its line.
        peer: Counted in.
        until: Until when (of the loop's clock) its first byte has to be there.
    """

    __slots__ = ("address", "peer", "taken", "until")

    def __init__(self, taken: socket.socket, address: str, peer: Peered, until: float) -> None:
        self.taken = taken
        self.address = address
        self.peer = peer
        self.until = until


class Hellos:
    """Those who wait; each leaves by `begin` or by `refuse`, or at `close`.

    Args:
        per_turn: How many begin in one turn of the loop.
        may_begin: Says whether one may begin at all; where it may not, `go_on` is called later.
        begin: Told of one whose handshake may begin now.
        refuse: Told of one that gets no session, and why.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        per_turn: int,
        may_begin: Callable[[], bool],
        begin: Callable[[Hello], object],
        refuse: Callable[[Hello, Gone], object],
    ) -> None:
        self._loop = loop
        self._per_turn = per_turn
        self._may_begin = may_begin
        self._begin = begin
        self._refuse = refuse
        self._silent: dict[Hello, None] = {}
        """In the order in which they came: the first is the first whose time is over."""
        self._lines: dict[str, deque[Hello]] = {}
        """In the order of their turns."""
        self._is_called = False
        self._watch: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._silent) + sum(map(len, self._lines.values()))

    def add(self, hello: Hello) -> None:
        """Let one wait for its first bytes, if they are not there yet, and for its turn."""
        if not self._look(hello):
            self._silent[hello] = None
            self._loop.add_reader(hello.taken, self._look, hello)
            self._watch_first()

    def go_on(self) -> None:
        """Let those begin, in their turns, that could not."""
        if self._lines and not self._is_called:
            self._is_called = True
            self._loop.call_soon(self._turn)

    def close(self) -> Iterator[Hello]:
        """Yield everyone who waits; they are no longer ours."""
        if self._watch is not None:
            self._watch.cancel()
        for hello in self._silent:
            self._loop.remove_reader(hello.taken)
            yield hello
        for line in self._lines.values():
            yield from line
        self._silent, self._lines = {}, {}

    def _look(self, hello: Hello) -> bool:
        """Look at the first bytes; False where there are none yet."""
        gone: Gone | None = "reset"
        try:
            first = hello.taken.recv(len(_HANDSHAKE_RECORD), socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            first = b""
        if first:
            gone = None if _HANDSHAKE_RECORD.startswith(first) else "not_tls"
        if hello in self._silent:
            self._forget(hello)
        if gone is None:
            self._enrol(hello)
        else:
            self._refuse(hello, gone)
        return True

    def _forget(self, hello: Hello) -> None:
        del self._silent[hello]
        self._loop.remove_reader(hello.taken)

    # ------------------------------------------------------------------ those who say nothing

    def _watch_first(self) -> None:
        if self._watch is None and self._silent:
            first = next(iter(self._silent))
            self._watch = self._loop.call_at(first.until, self._end_late)

    def _end_late(self) -> None:
        self._watch = None
        now = self._loop.time()
        while self._silent:
            first = next(iter(self._silent))
            if first.until > now:
                break
            self._forget(first)
            self._refuse(first, "timeout")
        self._watch_first()

    # ------------------------------------------------------------------ those whose turn comes

    def _enrol(self, hello: Hello) -> None:
        line = self._lines.get(hello.address)
        if line is None:
            line = self._lines[hello.address] = deque()
        line.append(hello)
        self.go_on()

    def _turn(self) -> None:
        self._is_called = False
        for _ in range(self._per_turn):
            if not self._lines or not self._may_begin():
                return
            address = next(iter(self._lines))
            line = self._lines.pop(address)
            hello = line.popleft()
            if line:
                self._lines[address] = line  # behind the others: dicts keep the order of insertion
            self._begin(hello)
        self.go_on()
