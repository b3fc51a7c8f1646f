"""An HTTP application on a socket of its own, in clear text or TLS, until told to stop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final

import msgspec
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from ops.body_limit import Application
from ops.proofs import PEER_CERTIFICATE
from ops.runtime.certificates import Certificate, read_certificate
from ops.runtime.handshake import HandshakeLimits, TlsServer, needs_uvloop
from ops.runtime.metrics import METRICS
from ops.runtime.settings import Settings
from ops.runtime.tls import TlsMaterial
from ops.stream_sending import ABORT
from ops.tls_doors import handshake_limits
from schemas.errors import FatalError, PermanentError

_TICK_SECONDS: Final = 0.01


class HttpTls(msgspec.Struct, frozen=True, kw_only=True):
    """What HTTPS needs beside an application."""

    material: TlsMaterial
    limits: HandshakeLimits
    max_connections: int
    request_seconds: float


def http_tls(settings: Settings, material: TlsMaterial) -> HttpTls:
    """Return what HTTPS needs, from the settings."""
    return HttpTls(
        material=material,
        limits=handshake_limits(settings),
        max_connections=settings.http_connections,
        request_seconds=settings.http_request_seconds,
    )


def certificate_of(transport: asyncio.BaseTransport) -> Certificate | None:
    """Return what the peer of a TLS connection has proved; None where anything is missing."""
    session = transport.get_extra_info("ssl_object")
    try:
        der = None if session is None else session.getpeercert(binary_form=True)
        return None if der is None else read_certificate(der)
    except PermanentError:
        return None


class OpenProtocol(H11Protocol):
    """uvicorn's protocol, that lets an application cut its connection (`ABORT` in the scope).

    Closing waits until what was sent is read; of who does not read that would be for ever.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin."""
        super().connection_made(transport)
        application: Any = self.app

        async def cuttable(scope: Any, receive: Any, send: Any) -> None:
            scope[ABORT] = transport.abort
            await application(scope, receive, send)

        self.app = cuttable


class PeerProtocol(OpenProtocol):
    """uvicorn's protocol, that also says who is at the other end.

    uvicorn (0.54) hands no client certificate to the application. It is put into the scope here,
    from the connection itself; where anything is missing there is none: who has to prove something
    then has not.
    """

    def __init__(self, host: HttpHost, **given: Any) -> None:
        super().__init__(**given)
        self._host = host
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, with the peer's certificate in each scope."""
        super().connection_made(transport)
        certificate = certificate_of(transport)
        application: Any = self.app

        async def proved(scope: Any, receive: Any, send: Any) -> None:
            scope[PEER_CERTIFICATE] = certificate
            await application(scope, receive, send)

        self.app = proved
        self._deadline = self.loop.call_later(self._host.tls.request_seconds, self._too_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """End, and count out."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._host.leave()
        super().connection_lost(exc)

    def _too_late(self) -> None:
        """Drop a peer that has asked for nothing: its place is another's."""
        if getattr(self, "cycle", None) is None:
            METRICS.limit_hits.labels("http_request").inc()
            self.transport.abort()

    # -- of `Peered`

    def protocol(self) -> asyncio.Protocol:
        """Hear of the peer once its handshake is done."""
        return self

    def refused(self) -> None:
        """Count out a peer whose handshake failed."""
        self._host.leave()


class HttpHost:
    """Counts the peers of HTTPS.

    Args:
        tls: Its bounds.
        make: Makes the protocol of a peer.
    """

    def __init__(self, tls: HttpTls, make: Callable[[HttpHost], PeerProtocol]) -> None:
        self.tls = tls
        self.open = 0
        self._make = make

    def admit_address(self, _address: str) -> PeerProtocol | None:
        """Count a peer in; None when there are too many."""
        if self.open >= self.tls.max_connections:
            METRICS.limit_hits.labels("http_connections").inc()
            return None
        self.open += 1
        return self._make(self)

    def leave(self) -> None:
        """Count a peer out."""
        self.open -= 1


def bound_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens: who is told that we are ready may connect at once.

    Raises:
        FatalError: The port is taken (`port_busy`).
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(1_024)
    except OSError:
        listening.close()
        raise FatalError(
            "port_busy", "the HTTP port is taken: end who has it, or set another http_port"
        ) from None
    listening.setblocking(False)
    return listening


async def serve_http(
    application: Application,
    listening: socket.socket,
    stopping: asyncio.Event,
    *,
    shutdown_seconds: float,
    tls: HttpTls | None = None,
) -> None:
    """Serve until told to stop; signals are ours, not the server's.

    Raises:
        FatalError: TLS on a loop that is not uvloop's.
    """
    config = uvicorn.Config(
        application,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=max(1, int(shutdown_seconds) - 1),
        lifespan="on",
        http=OpenProtocol,
        proxy_headers=False,  # nobody else says who a peer is
    )
    server = uvicorn.Server(config)
    if tls is not None:
        needs_uvloop()
    # Under TLS the socket is not the server's: only who accepts by himself learns why a handshake
    # failed (ops/runtime/handshake.py).
    sockets = [listening] if tls is None else []
    serving = asyncio.ensure_future(server._serve(sockets))  # noqa: SLF001 - serve() takes signals
    told = asyncio.ensure_future(stopping.wait())
    accepting: TlsServer | None = None
    try:
        if tls is not None:
            while not server.started and not serving.done():  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(_TICK_SECONDS)
            accepting = _accepting(server, listening, tls)
        await asyncio.wait({serving, told}, return_when=asyncio.FIRST_COMPLETED)
        if accepting is not None:
            accepting.close()
        server.should_exit = True
        await serving
    finally:
        if accepting is not None:
            accepting.close()
        told.cancel()
        serving.cancel()


def _accepting(server: uvicorn.Server, listening: socket.socket, tls: HttpTls) -> TlsServer:
    def make(host: HttpHost) -> PeerProtocol:
        return PeerProtocol(
            host,
            config=server.config,
            server_state=server.server_state,
            app_state=server.lifespan.state,
        )

    return TlsServer(listening, tls.material, HttpHost(tls, make), door="http", limits=tls.limits)
