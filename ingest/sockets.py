"""Sockets of the MLLP door: one that listens, and peers that are found out when they are gone."""

from __future__ import annotations

import socket
from typing import Final

_BACKLOG: Final = 4_096
_PROBES: Final = 4


def listening_socket(host: str, port: int, *, reuse_port: bool) -> socket.socket:
    """Return a socket that listens and does not block.

    Raises:
        OSError: The port is taken or the address is not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server(
        (host, port), family=family, backlog=_BACKLOG, reuse_port=reuse_port
    )
    listening.setblocking(False)
    return listening


def keep_alive(sock: socket.socket | None, seconds: int) -> None:
    """Let the kernel ask a silent peer after `seconds`; send what is small at once."""
    if sock is None or sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, seconds)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, seconds // 4))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
