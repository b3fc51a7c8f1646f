"""The MLLP door: frames in, acknowledgements out, in order, bounded on every side.

One `MllpConnection` per peer. A frame is judged as soon as it is whole; its answer is written
when the log says durable, in the order of the frames. A window of frames in flight bounds what one
peer can hold; beyond it the socket is not read (back-pressure, never a refusal).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Hashable
from typing import Final, Protocol, cast

import msgspec

from ops.runtime.failpoints import hit
from ops.runtime.handshake import TlsServer, needs_uvloop
from ops.runtime.logs import get_logger
from ops.runtime.metrics import METRICS
from ops.runtime.tls import DoorSSLObject, PeerCertificate, read_certificate

from .accept import Answer, Receipt
from .accepting import PlainServer, pace_of
from .fairness import Fairness, LabShare, Line
from .lab import Lab, Peer
from .mllp import Frame, Framer, FramingError, wrap
from .peers import CertificateDoor, peer_of
from .turns import Turns

_log = get_logger(__name__)
_SWEEP_SECONDS: Final = 1.0
_RATE_GRACE_SECONDS: Final = 5.0
_BACKLOG: Final = 4_096
_LOOKS_PER_TURN: Final = 200


class Receiver(Protocol):
    """What answers the frames of a listener: `Acceptor`, or the sandbox's."""

    def receive(self, raw: bytes, peer: Peer | None = None, line: Line | None = None) -> Receipt:
        """Take one message of a peer, None where none is proved, on a line; never raises."""
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
    window_frames: int = 32
    window_bytes: int = 8 * 1024 * 1024
    unread_answer_seconds: float = 30.0
    keepalive_seconds: int = 60
    accepts_per_second: float = 1_000.0
    turn_frames: int = 2
    """Messages judged in one turn of the loop."""


class MllpConnection(asyncio.Protocol):
    """One peer: frames its bytes, hands frames to `accept`, answers in order."""

    def __init__(self, listener: MllpListener) -> None:
        self._listener = listener
        self._limits = listener.limits
        self._framer = Framer(self._limits.max_frame_bytes)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[Frame | FramingError] = deque()
        self._in_flight: deque[tuple[Receipt, int, LabShare | None]] = deque()
        self._in_flight_bytes = 0
        self._paused = False
        self._write_blocked_at: float | None = None
        self._partial_since: float | None = None
        self._half_closed = False
        self._closing = False
        self._leaving = False
        self._is_held = False
        self._line = listener.fairness.line(self._take_waiting)
        self._opened_at = 0.0
        self._certificate: PeerCertificate | None = None
        self.peer: Peer | None = None
        """The laboratory it has proved to be; None on a door in clear text."""
        self.address = ""

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
        _keep_alive(transport.get_extra_info("socket"), self._limits.keepalive_seconds)

    def data_received(self, data: bytes) -> None:
        """Frame the bytes; what the window does not take waits here, and reading pauses."""
        METRICS.received_bytes.inc(len(data))
        self._waiting.extend(self._framer.feed(data))
        self._note_partial()
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
        self._waiting.clear()
        for receipt, _, share in self._in_flight:
            # The log has it still: it counts for its laboratory until the log has spoken.
            if share is not None:
                share.leave() if receipt.done() else receipt.add_done_callback(share.leave)
        self._in_flight.clear()
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
        if self._window_full() or len(self._waiting) > 1:
            self._pause()
        else:
            self._resume()
        self._close_when_idle()

    def _window_full(self) -> bool:
        return (
            self._is_held
            or len(self._in_flight) >= self._limits.window_frames
            or self._in_flight_bytes >= self._limits.window_bytes
            or self._write_blocked_at is not None
        )

    def _take_first(self) -> None:
        item = self._waiting.popleft()
        if isinstance(item, FramingError):
            self._take_error(item)
        else:
            self._take_frame(item)

    def _take_frame(self, frame: Frame) -> None:
        METRICS.frames.labels("whole").inc()
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
        self._in_flight.append((receipt, size, share))
        self._in_flight_bytes += size
        if receipt.done():
            self._answer_ready()
        else:
            receipt.add_done_callback(self._answer_ready)

    def _answer_ready(self, _: object = None) -> None:
        """Write every answer at the head of the line that is ready, in one write."""
        out: list[bytes] = []
        while self._in_flight and self._in_flight[0][0].done() and not self._closing:
            receipt, size, share = self._in_flight.popleft()
            self._in_flight_bytes -= size
            if share is not None:
                share.leave()
            answer: Answer = receipt.answer()
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
        if self._paused:
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


class MllpListener:
    """The listening socket and its peers.

    Args:
        acceptor: The one way in.
        limits: What is allowed.
        fairness: What each laboratory has of this process: the acceptor's; None: one of its own.
    """

    def __init__(
        self, acceptor: Receiver, limits: ListenerLimits, fairness: Fairness | None = None
    ) -> None:
        self.acceptor = acceptor
        self.limits = limits
        self.fairness = fairness or Fairness()
        self.turns = Turns(
            lambda callback: asyncio.get_running_loop().call_soon(callback), limits.turn_frames
        )
        self.stopping = False
        self.certificates: CertificateDoor | None = None
        """Set on a TLS door: who a peer's certificate says it is."""
        self._connections: set[MllpConnection] = set()
        self._per_address: dict[str, int] = {}
        self._empty = asyncio.Event()
        self._server: PlainServer | TlsServer | None = None
        self._keepers: list[asyncio.Task[None]] = []

    @property
    def port(self) -> int:
        """The port in use (another than asked for when 0 was asked)."""
        assert self._server is not None
        return self._server.port

    def now(self) -> float:
        """Monotonic seconds of the running loop."""
        return asyncio.get_running_loop().time()

    async def start(
        self,
        host: str,
        port: int,
        *,
        reuse_port: bool = False,
        tls: CertificateDoor | None = None,
    ) -> None:
        """Listen: in clear text, or where `tls` is given with mutual TLS.

        Raises:
            OSError: The port is taken or the address is not ours.
            FatalError: TLS on a loop that is not uvloop's.
        """
        pace = pace_of(self.limits.accepts_per_second, asyncio.get_running_loop().time)
        if tls is None:
            listening = _listening(host, port, reuse_port=reuse_port)
            self._server = PlainServer(listening, lambda: MllpConnection(self), pace)
        else:
            needs_uvloop()
            self.certificates = tls
            listening = _listening(host, port, reuse_port=reuse_port)
            self._server = TlsServer(
                listening, tls.material, self, door="mllp", limits=tls.limits, pace=pace
            )
            self._keepers.append(asyncio.create_task(self._look_again(tls)))
        self._keepers.append(asyncio.create_task(self._sweep()))

    def admit_address(self, address: str) -> MllpConnection | None:
        """Count a peer in before its handshake; None when a limit of connections is reached."""
        connection = MllpConnection(self)
        connection.address = address
        return connection if self.admit(connection) else None

    def admit(self, connection: MllpConnection) -> bool:
        """Count a peer in; False when a limit of connections is reached."""
        address = connection.address
        if self.stopping or len(self._connections) >= self.limits.max_connections:
            METRICS.limit_hits.labels("connections").inc()
            return False
        if self._per_address.get(address, 0) >= self.limits.max_connections_per_address:
            METRICS.limit_hits.labels("connections_per_address").inc()
            return False
        self._per_address[address] = self._per_address.get(address, 0) + 1
        self._connections.add(connection)
        METRICS.connections.inc()
        return True

    def forget(self, connection: MllpConnection) -> None:
        """Count a peer out."""
        if connection not in self._connections:
            return
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()
        METRICS.connections.dec()
        left = self._per_address.get(connection.address, 1) - 1
        if left > 0:
            self._per_address[connection.address] = left
        else:
            self._per_address.pop(connection.address, None)

    async def stop(self, timeout_seconds: float) -> None:
        """Take no new peer, answer what was taken, close; bounded."""
        self.stopping = True
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await self._all_gone()
        for connection in list(self._connections):
            connection.cut("shutdown")
        for keeper in self._keepers:
            keeper.cancel()

    async def _all_gone(self) -> None:
        self._empty.clear()
        if self._connections:
            await self._empty.wait()

    def close_all(self) -> None:
        """Cut every peer without an answer: the log is in doubt."""
        self.stopping = True
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.cut("append_unknown")

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = self.now()
            for connection in list(self._connections):
                connection.sweep(now)

    async def _look_again(self, certificates: CertificateDoor) -> None:
        while True:
            await asyncio.sleep(certificates.recheck_seconds)
            for number, connection in enumerate(list(self._connections)):
                connection.look_again(certificates)
                if number % _LOOKS_PER_TURN == 0:
                    await asyncio.sleep(0)


def _listening(host: str, port: int, *, reuse_port: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server(
        (host, port), family=family, backlog=_BACKLOG, reuse_port=reuse_port
    )
    listening.setblocking(False)
    return listening


def _keep_alive(sock: socket.socket | None, seconds: int) -> None:
    if sock is None or sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, seconds)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, seconds // 4))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
