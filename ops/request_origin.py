"""Where an HTTP request comes from."""

from __future__ import annotations

from typing import Any

from litestar import Request

from ops.origins import FORWARDED_FOR, Origins


def origin_of(request: Request[Any, Any, Any], origins: Origins) -> str:
    """Return the address to be audited; empty where there is none."""
    peer = request.client.host if request.client is not None else ""
    return origins.of(peer, request.headers.getall(FORWARDED_FOR, []))
