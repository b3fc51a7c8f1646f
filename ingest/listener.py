"""The MLLP door: its socket and its peers, in clear text or mutual TLS, bounded on every side."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from ops.runtime.handshake import TlsServer, needs_uvloop
from ops.runtime.metrics import GATHERED, METRICS

from .accepting import PlainServer, pace_of
from .connection import MllpConnection
from .fairness import Fairness
from .large_frames import Room
from .peers import CertificateDoor
from .receiver import ListenerLimits, Receiver
from .sockets import listening_socket
from .turns import Turns

__all__ = ["ListenerLimits", "MllpListener", "Receiver"]

_SWEEP_SECONDS: Final = 1.0
_LOOKS_PER_TURN: Final = 200


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
        self.room = Room(limits.large_frames, limits.large_frame_bytes_per_second)
        self.fairness = fairness or Fairness()
        self.turns = Turns(
            lambda callback: asyncio.get_running_loop().call_soon(callback),
            limits.turn_frames,
            limits.laboratory_turn_frames,
        )
        self.stopping = False
        self.certificates: CertificateDoor | None = None
        """Set on a TLS door: who a peer's certificate says it is."""
        self._connections: set[MllpConnection] = set()
        self._per_address: dict[str, int] = {}
        self._spare = 0
        """Of the connections, those that are beyond a limit."""
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
        if tls is not None:
            needs_uvloop()
        pace = pace_of(self.limits.accepts_per_second, self.now)
        listening = listening_socket(host, port, reuse_port=reuse_port)
        if tls is None:
            self._server = PlainServer(listening, lambda: MllpConnection(self), pace)
        else:
            self.certificates = tls
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
        """Count a peer in; False when a limit of connections is reached.

        Of those that are too many a few are let in all the same: one that sends a message hears why
        it has to go. Beyond them there is nobody whom an answer could reach for sure.
        """
        address = connection.address
        if self.stopping:
            METRICS.limit_hits.labels("connections").inc()
            return False
        over = self._limit_reached(address)
        if over:
            METRICS.limit_hits.labels(over).inc()
            if self._spare >= self.limits.spare_connections:
                return False
            self._spare += 1
            connection.be_spare()
        self._per_address[address] = self._per_address.get(address, 0) + 1
        self._connections.add(connection)
        METRICS.connections.inc()
        return True

    def _limit_reached(self, address: str) -> str:
        if len(self._connections) - self._spare >= self.limits.max_connections:
            return "connections"
        if self._per_address.get(address, 0) >= self.limits.max_connections_per_address:
            return "connections_per_address"
        return ""

    def forget(self, connection: MllpConnection) -> None:
        """Count a peer out."""
        if connection not in self._connections:
            return
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()
        METRICS.connections.dec()
        if connection.is_spare:
            self._spare -= 1
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
        GATHERED.give()

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
