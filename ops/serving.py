"""An HTTP application on a socket of its own, until told to stop."""

from __future__ import annotations

import asyncio
import socket

import uvicorn
from litestar import Litestar

from schemas.errors import FatalError


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
    application: Litestar,
    listening: socket.socket,
    stopping: asyncio.Event,
    *,
    shutdown_seconds: float,
) -> None:
    """Serve until told to stop; signals are ours, not the server's."""
    server = uvicorn.Server(
        uvicorn.Config(
            application,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=max(1, int(shutdown_seconds) - 1),
            lifespan="on",
        )
    )
    serving = asyncio.ensure_future(server._serve([listening]))  # noqa: SLF001 - serve() takes signals
    told = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait({serving, told}, return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving
    finally:
        told.cancel()
        serving.cancel()
