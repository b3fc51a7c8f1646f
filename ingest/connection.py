"""One peer of the MLLP door: its bytes to frames, frames to answers, in order, within its share.

A frame is judged as soon as it is whole; its answer is written when the log says durable, in the
order of the frames. A window of frames in flight bounds what one peer can hold; beyond it the
socket is not read (back-pressure, never a refusal).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable
from typing import Any, Final, Protocol, cast

from ops.runtime.certificates import Certificate, read_certificate
from ops.runtime.failpoints import hit
from ops.runtime.metrics import GATHERED, METRICS
from ops.runtime.tls import DoorSSLObject

from .accept import Receipt
from .fairness import Fairness, LabShare
from .in_flight import InFlight
from .lab import Lab, Peer
from .large_frames import Room
from .mllp import Frame, Framer, FramingError, wrap
from .peers import CertificateDoor, peer_of
from .receiver import ListenerLimits, Receiver
from .sockets import keep_alive
from .turns import Turns

_RATE_GRACE_SECONDS: Final = 5.0


class Owner(Protocol):
    """The listener of a connection."""

    acceptor: Receiver
    limits: ListenerLimits
    room: Room
    fairness: Fairness
    turns: Turns
    stopping: bool
    certificates: CertificateDoor | None

    def now(self) -> float:
        """Monotonic seconds of the running loop."""
        ...

    def admit(self, connection: MllpConnection) -> bool:
        """Count a peer in; False when a limit of connections is reached."""
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
        self._in_flight = InFlight()
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
        self._is_held = False
        self._line = listener.fairness.line(self._take_waiting)
        self._opened_at = 0.0
        self._certificate: Certificate | None = None
        self.peer: Peer | None = None
        """The laboratory it has proved to be; None on a door in clear text."""
        self.address = ""
        self.is_spare = False
        """It is beyond a limit of the door: it is told so, and goes."""

    # ------------------------------------------------------------------ asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the peer in, or turn it away when a limit is reached."""
        self._transport = cast("asyncio.Transport", transport)
        self._opened_at = self._listener.now()
        if self._listener.certificates is not None:
            if not self._identify(self._listener.certificates):
                return
        else:
            peer = transport.get_extra_info("peername")
            self.address = peer[0] if isinstance(peer, tuple) else "local"
            if not self._listener.admit(self):
                self._transport.abort()
                return
        keep_alive(transport.get_extra_info("socket"), self._limits.keepalive_seconds)

    def data_received(self, data: bytes) -> None:
        """Frame the bytes; what the window does not take waits here, and reading pauses."""
        GATHERED.add(METRICS.received_bytes, len(data))
        self._waiting.extend(self._framer.feed(data))
        self._note_partial()
        self._share_the_room(len(data))
        self._share_the_turn(len(data))
        self._take_waiting()

    def eof_received(self) -> bool:
        """A half-close: what was sent still gets its answers, then we close too."""
        self._half_closed = True
        if self._framer.partial:
            METRICS.frames.labels("cut").inc()
        self._close_when_idle()
        # Under TLS the transport ends by itself, and logs a warning for each peer that says more.
        return self._listener.certificates is None

    def connection_lost(self, _exc: Exception | None) -> None:
        """Forget the peer. What is in flight becomes durable or not without it; it will resend."""
        self._closing = True
        self._listener.room.leave(self)
        self._waiting.clear()
        self._in_flight.abandon()
        self._line.part()
        self._listener.turns.forget(self)
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

    def be_spare(self) -> None:
        """Take nothing but the first message, which is answered with why not."""
        self.is_spare = True
        self._line.is_over = True

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
        # One that is too many is told so in the answer to its first message.
        self._listener.fairness.admit(found, self._line, self._listener.now())
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

    @property
    def lane(self) -> Hashable:
        """Whose turn it takes: its laboratory's, or its address's before the first message."""
        share = self._line.share
        return self.address if share is None else share.lab_id

    def take_turn(self) -> bool:
        """Take one frame that waits; say whether there is another that may be taken at once."""
        if self._can_take():
            self._take_first()
        if self._can_take():
            return True
        self._settle()
        return False

    def _take_waiting(self) -> None:
        """Take what waits, as far as it is our turn."""
        # A verdict that is there at once answers at once, which would come back here in a circle.
        if self._taking:
            return
        while self._can_take() and self._listener.turns.take(self):
            self._take_first()
        self._settle()

    def _can_take(self) -> bool:
        if not self._waiting or self._closing or self._window_full():
            return False
        if self._line.wait():
            METRICS.limit_hits.labels("laboratory_window").inc()
            return False
        return True

    def _settle(self) -> None:
        """Read on, or stop reading, as there is room."""
        # One frame that waits for its turn is no reason: a peer that waits for its answer has one.
        is_behind = len(self._waiting) > 1
        if self._window_full() or is_behind or self._resting or self._waits_for_room:
            self._pause()
        else:
            self._resume()
        self._close_when_idle()

    def _window_full(self) -> bool:
        return (
            self._is_held
            or len(self._in_flight) >= self._limits.window_frames
            or self._in_flight.size_bytes >= self._limits.window_bytes
            or self._write_blocked_at is not None
        )

    def _take_first(self) -> None:
        self._taking = True
        try:
            item = self._waiting.popleft()
            if isinstance(item, FramingError):
                self._take_error(item)
            else:
                self._take_frame(item)
        finally:
            self._taking = False

    def _take_frame(self, frame: Frame) -> None:
        GATHERED.add(METRICS.frames.labels("whole"))
        hit("ingest.received")
        receipt = self._listener.acceptor.receive(frame.payload, self.peer, self._line)
        share = self._line.share
        if share is not None:
            share.enter()
        if self._line.hold_seconds:
            self._hold(self._line.hold_seconds)
        self._follow(receipt, len(frame.payload), share)

    def _hold(self, seconds: float) -> None:
        """Take nothing more for a while: this connection was over a limit of its laboratory."""
        self._line.hold_seconds = 0.0
        if not self._is_held:
            self._is_held = True
            METRICS.held_connections.inc()
            asyncio.get_running_loop().call_later(seconds, self._let_go)

    def _let_go(self) -> None:
        self._is_held = False
        METRICS.held_connections.dec()
        if not self._closing:
            self._take_waiting()

    def _take_error(self, error: FramingError) -> None:
        METRICS.frames.labels(error.reason).inc()
        receipt = self._listener.acceptor.turn_away(error.reason, error.head)
        if receipt is None:
            if error.is_foreign:
                self._abort("foreign_protocol")
            return
        self._follow(receipt, 0, None)

    def _follow(self, receipt: Receipt, size: int, share: LabShare | None) -> None:
        self._in_flight.add(receipt, size, share)
        if receipt.done():
            self._answer_ready()
        else:
            receipt.add_done_callback(self._answer_ready)

    def _answer_ready(self, _: object = None) -> None:
        """Write every answer at the head of the line that is ready, in one write."""
        if self._closing:
            return
        out: list[bytes] = []
        for answer in self._in_flight.take_ready():
            out.extend(wrap(part) for part in answer.parts)
            if answer.close or answer.hang_up:
                self._write(out)
                self._abort("append_unknown" if answer.close else "connections_per_laboratory")
                return
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
        if self._turn_bytes > self._limits.turn_bytes:
            self._rest(0.0)

    def _rest(self, seconds: float) -> None:
        """Be read no more for so long; at least until the next turn of the loop."""
        if not self._resting:
            self._resting = True
            asyncio.get_running_loop().call_later(seconds, self._rested)

    def _rested(self) -> None:
        self._resting = False
        self._turn_bytes = 0
        self._take_waiting()

    def _share_the_room(self, size: int) -> None:
        """Take a place for a large frame, give it back after it, or wait for one unread."""
        is_large = self._framer.partial_bytes > self._limits.large_frame_bytes
        if is_large:
            seconds = self._listener.room.rest_after(size, self._listener.now())
            if seconds > 0.0:
                self._rest(seconds)
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
            if self._window_full():
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
                # The end of a TLS session reads on, unpaced, whatever the peer still sends.
                (self._abort if self._in_flight else self.cut)("partial_frame")
        if (
            self._write_blocked_at is not None
            and now - self._write_blocked_at > limits.unread_answer_seconds
        ):
            self.cut("unread_answers")
        if self._waiting:
            self._take_waiting()
        if self._line.is_over and now - self._opened_at > limits.partial_frame_seconds:
            # It was to be told so in the answer to its first message, which does not come.
            self.cut("connections_per_laboratory")

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
