"""The HTTP port of a process that cannot open yet: 503, then the real application has it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ops.closed_http import refusing_meanwhile
from ops.runtime.settings import Settings, load_settings
from ops.serving import bound_socket, http_tls, serve_http
from ops.simulate.sample import sample_message
from ops.tls_doors import material_of
from tests.support.certificates import Authority, client_context
from tests.support.tls_door import on_uvloop

ER7 = "application/hl7-v2+er7"


async def real(scope: Any, receive: Any, send: Any) -> None:
    """An application that is open."""
    if scope["type"] == "lifespan":
        for _ in range(2):
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"real"})


@contextlib.asynccontextmanager
async def waiting(settings: Settings, verify: ssl.SSLContext | bool) -> AsyncIterator[Any]:
    """A port that waits; gives a client and what ends the wait with the real application."""
    material = material_of(settings, "http")
    listening = bound_socket("127.0.0.1", 0)
    scheme = "http" if material is None else "https"
    base = f"{scheme}://127.0.0.1:{listening.getsockname()[1]}"
    stopping = asyncio.Event()
    served: list[asyncio.Task[None]] = []
    async with (
        refusing_meanwhile(settings, listening, material) as meanwhile,
        httpx.AsyncClient(base_url=base, timeout=60, trust_env=False, verify=verify) as client,
    ):

        async def opened() -> None:
            await meanwhile.end()
            tls = None if material is None else http_tls(settings, material)
            serving = serve_http(real, listening, stopping, shutdown_seconds=2.0, tls=tls)
            served.append(asyncio.ensure_future(serving))

        yield client, opened
        stopping.set()
        await asyncio.gather(*served)
    listening.close()


async def _refuses_then_serves(settings: Settings, verify: ssl.SSLContext | bool) -> None:
    async with waiting(settings, verify) as (client, opened):
        for path in ("/v1/messages", "/v1/batches?name=a", "/v1/anything"):
            answer = await client.post(
                path, content=sample_message(), headers={"Content-Type": ER7}
            )
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["title"] == "not_now"
        large = await client.post("/v1/batches", content=b"x" * 5_000_000)
        assert large.status_code == 503, "the answer arrives, whatever is on its way"
        assert (await client.get("/healthz")).status_code == 200
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.text[:9]) == (503, "not ready")
        assert "labdispatch_door_closed 1.0" in (await client.get("/metrics")).text
        await opened()
        for _ in range(3):
            assert (await client.get("/v1/anything")).text == "real"


async def test_each_request_is_told_to_come_again_and_none_falls_between(tmp_path: Path) -> None:
    await _refuses_then_serves(load_settings(data_dir=tmp_path, log_away_seconds=0.05), False)


@on_uvloop
async def test_the_same_over_tls_with_and_without_a_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    settings = load_settings(
        data_dir=tmp_path,
        log_away_seconds=0.05,
        http_tls_cert=authority.files.cert,
        http_tls_key=authority.files.key,
        http_tls_client_ca=authority.files.client_ca,
    )
    for issued in (None, authority.issue("LAB01")):
        await _refuses_then_serves(settings, client_context(authority, issued))


async def test_a_process_that_opens_in_time_refuses_nobody(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path, log_away_seconds=3_600)
    async with waiting(settings, False) as (client, opened):
        asked = asyncio.ensure_future(client.get("/v1/anything"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(asked), 0.2)
        await opened()
        assert (await asked).text == "real", "who came early has waited"
