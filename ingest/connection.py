"""One peer of the MLLP door: its bytes to frames, frames to answers, in order, within its share.

A frame is judged as soon as it is whole; its answer is written when the log says durable, in the
order of the frames. A window of frames in flight bounds what one peer can hold; beyond it the
socket is not read (back-pressure, never a refusal).
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from typing import Any, Final, Protocol, cast

import msgspec

from ops.runtime.certificates import Certificate, read_certificate
from ops.runtime.failpoints import hit
from ops.runtime.metrics import GATHERED, METRICS
from ops.runtime.tls import DoorSSLObject

from .accept import Answer, Receipt
from .lab import Lab, Peer
from .large_frames import Room
from .mllp import Frame, Framer, FramingError, wrap
from .peers import CertificateDoor, peer_of

_RATE_GRACE_SECONDS: Final = 5.0


class Receiver(Protocol):
    """What answers the frames of a listener: `Acceptor`, or the sandbox's."""

    def receive(self, raw: bytes, peer: Peer | None = None) -> Receipt:
        """Take one message of a peer, None where none is proved; never raises."""
        ...

    def turn_away(self, reason: str, head: bytes) -> Receipt | None:
        """Answer a frame that was not taken whole; None where nobody can."""
        ...


class ListenerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one listener allows; each is a setting."""

    max_frame_bytes: int = 8 * 1024 * 1024
    partial_frame_seconds: float = 30.0
    min_bytes_per_second: int = 100
    max_connections: int = 6_000
    max_connections_per_address: int = 6_000
    large_frame_bytes: int = 64 * 1024
    """A partial frame beyond this takes one of the places for large ones."""
    large_frames: int = 16
    turn_bytes: int = 64 * 1024
    """What is read of one connection before the others come."""
    window_frames: int = 32
    window_bytes: int = 8 * 1024 * 1024
    unread_answer_seconds: float = 30.0
    keepalive_seconds: int = 60


class Owner(Protocol):
    """The listener of a connection."""

    acceptor: Receiver
    limits: ListenerLimits
    room: Room
    stopping: bool
    certificates: CertificateDoor | None

    def now(self) -> float:
        """Monotonic seconds of the running loop."""
        ...

    def admit(self, connection: MllpConnection) -> bool:
        """Count a peer in; False when a limit of connections is reached."""
        ...

    def admit_lab(self, connection: MllpConnection, lab: Lab) -> bool:
        """Count a peer in as its laboratory's; False when it has all the connections it may."""
        ...

    def forget(self, connection: MllpConnection) -> None:
        """Count a peer out."""
        ...


class MllpConnection(asyncio.Protocol):
    """One peer: frames its bytes, hands frames to `accept`, answers in order."""

    def __init__(self, listener: Owner) -> None:
        self._listener = listener
        self._limits = listener.limits
        self._framer = Framer(self._limits.max_frame_bytes)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[Frame | FramingError] = deque()
        self._in_flight: deque[tuple[Receipt, int]] = deque()
        self._in_flight_bytes = 0
        self._paused = False
        self._write_blocked_at: float | None = None
        self._partial_since: float | None = None
        self._half_closed = False
        self._closing = False
        self._taking = False
        self._turn_at = 0.0
        self._turn_bytes = 0
        self._resting = False
        self._waits_for_room = False
        self._asked_for_room = False
        self._leaving = False
        self._certificate: Certificate | None = None
        self.peer: Peer | None = None
        """The laboratory it has proved to be; None on a door in clear text."""
        self.address = ""

    # ------------------------------------------------------------------ asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the peer in, or turn it away when a limit is reached."""
        self._transport = cast("asyncio.Transport", transport)
        if self._listener.certificates is not None:
            if not self._identify(self._listener.certificates):
                return
        else:
            peer = transport.get_extra_info("peername")
            self.address = peer[0] if isinstance(peer, tuple) else "local"
            if not self._listener.admit(self):
                self._transport.abort()
                return
        _keep_alive(transport.get_extra_info("socket"), self._limits.keepalive_seconds)

    def data_received(self, data: bytes) -> None:
        """Frame the bytes; what the window does not take waits here, and reading pauses."""
        GATHERED.add(METRICS.received_bytes, len(data))
        self._waiting.extend(self._framer.feed(data))
        self._note_partial()
        self._share_the_turn(len(data))
        self._share_the_room()
        self._take_waiting()

    def eof_received(self) -> bool:
        """A half-close: what was sent still gets its answers, then we close too."""
        self._half_closed = True
        if self._framer.partial:
            METRICS.frames.labels("cut").inc()
        self._close_when_idle()
        return True

    def connection_lost(self, _exc: Exception | None) -> None:
        """Forget the peer. What is in flight becomes durable or not without it; it will resend."""
        self._closing = True
        self._listener.room.leave(self)
        self._waiting.clear()
        self._in_flight.clear()
        self._transport = None
        self._listener.forget(self)

    def pause_writing(self) -> None:
        """The peer does not read its answers: stop reading it, and watch the clock."""
        self._write_blocked_at = self._listener.now()
        self._pause()

    def resume_writing(self) -> None:
        """The peer reads again."""
        self._write_blocked_at = None
        self._take_waiting()

    # ------------------------------------------------------------------ TLS

    def protocol(self) -> asyncio.Protocol:
        """Hear of this peer once its handshake is done."""
        return self

    def refused(self) -> None:
        """Forget a peer whose handshake failed."""
        self._listener.forget(self)

    def _identify(self, certificates: CertificateDoor) -> bool:
        """Find the peer's laboratory; without one it is dropped, and told nothing."""
        assert self._transport is not None
        session = self._transport.get_extra_info("ssl_object")
        der = None if session is None else session.getpeercert(binary_form=True)
        if der is None:
            self.cut("unknown_certificate")
            return False
        self._certificate = read_certificate(der)
        found = certificates.identify(self._certificate)
        if not isinstance(found, Lab):
            self.cut(found)
            return False
        self.peer = peer_of(found, "certificate")
        if not self._listener.admit_lab(self, found):
            self.cut("connections_per_laboratory")
            return False
        # Of a peer that is not read uvloop would take in 256 KiB; SSL transports alone have this.
        cast("Any", self._transport).set_read_buffer_limits(self._limits.turn_bytes)
        if isinstance(session, DoorSSLObject):
            # Soon, and not now: what came before the end is still on its way up to us.
            loop = asyncio.get_running_loop()
            session.on_end = lambda: loop.call_soon(self.eof_received)
        return True

    def look_again(self, certificates: CertificateDoor) -> None:
        """Let the peer go, in order, once its certificate no longer proves its laboratory."""
        if self._certificate is None or self.peer is None or self._leaving:
            return
        reason = certificates.look_again(self._certificate, self.peer)
        if reason is not None:
            METRICS.closed.labels(reason).inc()
            self.drain()

    # ------------------------------------------------------------------ frames

    def _take_waiting(self) -> None:
        """Take what waits, a window in one turn of the loop: the other peers come in between."""
        # A verdict that is there at once answers at once, which would come back here in a circle.
        if self._taking:
            return
        self._taking = True
        try:
            for _ in range(self._limits.window_frames):
                if not self._waiting or self._closing or self._window_full():
                    break
                item = self._waiting.popleft()
                if isinstance(item, FramingError):
                    self._take_error(item)
                else:
                    self._take_frame(item)
        finally:
            self._taking = False
        if self._waiting and not self._closing and not self._window_full():
            asyncio.get_running_loop().call_soon(self._take_waiting)
        if self._window_full() or self._waiting or self._resting or self._waits_for_room:
            self._pause()
        else:
            self._resume()
        self._close_when_idle()

    def _window_full(self) -> bool:
        return (
            len(self._in_flight) >= self._limits.window_frames
            or self._in_flight_bytes >= self._limits.window_bytes
            or self._write_blocked_at is not None
        )

    def _take_frame(self, frame: Frame) -> None:
        GATHERED.add(METRICS.frames.labels("whole"))
        hit("ingest.received")
        self._follow(self._listener.acceptor.receive(frame.payload, self.peer), len(frame.payload))

    def _take_error(self, error: FramingError) -> None:
        METRICS.frames.labels(error.reason).inc()
        receipt = self._listener.acceptor.turn_away(error.reason, error.head)
        if receipt is None:
            if error.is_foreign:
                self._abort("foreign_protocol")
            return
        self._follow(receipt, 0)

    def _follow(self, receipt: Receipt, size: int) -> None:
        self._in_flight.append((receipt, size))
        self._in_flight_bytes += size
        if receipt.done():
            self._answer_ready()
        else:
            receipt.add_done_callback(self._answer_ready)

    def _answer_ready(self, _: object = None) -> None:
        """Write every answer at the head of the line that is ready, in one write."""
        out: list[bytes] = []
        while self._in_flight and self._in_flight[0][0].done() and not self._closing:
            receipt, size = self._in_flight.popleft()
            self._in_flight_bytes -= size
            answer: Answer = receipt.answer()
            if answer.close:
                self._write(out)
                self._abort("append_unknown")
                return
            out.extend(wrap(part) for part in answer.parts)
        self._write(out)
        if self._waiting or self._paused:
            self._take_waiting()
        else:
            self._close_when_idle()

    def _write(self, parts: list[bytes]) -> None:
        if parts and self._transport is not None:
            hit("ingest.before_answer")
            self._transport.write(b"".join(parts))
            hit("ingest.after_answer")

    # ------------------------------------------------------------------ a fair share

    @property
    def owner(self) -> object:
        """Whose share it takes: its laboratory's, or its address's where none is proved."""
        return self.address if self.peer is None else self.peer.lab_id

    def _share_the_turn(self, size: int) -> None:
        """Rest until the next turn of the loop after a share of this one.

        libuv reads one socket up to 32 times before it comes to the next: fifty peers that send as
        fast as they can would hold everybody else up for seconds.
        """
        now = self._listener.now()  # uvloop's stands still within one turn
        if now != self._turn_at:
            self._turn_at, self._turn_bytes = now, 0
        self._turn_bytes += size
        if self._turn_bytes > self._limits.turn_bytes and not self._resting:
            self._resting = True
            asyncio.get_running_loop().call_soon(self._rested)

    def _rested(self) -> None:
        self._resting = False
        self._turn_bytes = 0
        self._take_waiting()

    def _share_the_room(self) -> None:
        """Take a place for a large frame, give it back after it, or wait for one unread."""
        is_large = self._framer.partial_bytes > self._limits.large_frame_bytes
        if is_large and not self._asked_for_room:
            self._asked_for_room = True
            self._waits_for_room = not self._listener.room.ask(self)
        elif not is_large and self._asked_for_room:
            self._asked_for_room = self._waits_for_room = False
            self._listener.room.leave(self)

    def room_given(self) -> None:
        """Read on, soon: a place for a large frame has become free."""
        self._waits_for_room = False
        asyncio.get_running_loop().call_soon(self._take_waiting)

    # ------------------------------------------------------------------ flow and end

    def _pause(self) -> None:
        if not self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = True
            METRICS.limit_hits.labels("window").inc()
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    def _note_partial(self) -> None:
        if not self._framer.partial:
            self._partial_since = None
        elif self._partial_since is None:
            self._partial_since = self._listener.now()

    def _close_when_idle(self) -> None:
        if (
            (self._half_closed or self._leaving or self._listener.stopping)
            and not self._in_flight
            and not self._waiting
            and self._transport is not None
        ):
            self._closing = True
            self._transport.close()

    def drain(self) -> None:
        """Stop reading; close once every frame taken has its answer."""
        self._leaving = True
        self._waiting.clear()
        self._pause()
        self._close_when_idle()

    def sweep(self, now: float) -> None:
        """Close a peer that starves its frame or never reads its answers."""
        limits = self._limits
        if self._paused and not self._resting:
            self._partial_since = None if self._partial_since is None else now
        elif self._partial_since is not None:
            age = now - self._partial_since
            starved = self._framer.partial_bytes < age * limits.min_bytes_per_second
            if age > limits.partial_frame_seconds or (age > _RATE_GRACE_SECONDS and starved):
                self._abort("partial_frame")
        if (
            self._write_blocked_at is not None
            and now - self._write_blocked_at > limits.unread_answer_seconds
        ):
            self.cut("unread_answers")

    def cut(self, reason: str) -> None:
        """Drop the peer at once: nothing more is written, not even what was ready."""
        METRICS.closed.labels(reason).inc()
        self._closing = True
        if self._transport is not None:
            self._transport.abort()

    def _abort(self, reason: str) -> None:
        METRICS.closed.labels(reason).inc()
        self._closing = True
        if self._transport is not None:
            self._transport.close()


def _keep_alive(sock: socket.socket | None, seconds: int) -> None:
    if sock is None or sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, seconds)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, seconds // 4))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
