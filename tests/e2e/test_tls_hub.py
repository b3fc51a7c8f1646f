"""The whole product with TLS on both doors: a laboratory speaks for itself, and for nobody else."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import httpx

from benchmarks.tls_hub import REGISTER
from ops.bootstrap import connection_of
from ops.client import MllpClient
from ops.message_route import ER7
from ops.runtime.postgres import connected, translated
from ops.runtime.settings import load_settings
from tests.support.certificates import Authority, client_context
from tests.support.product import Embedded
from tests.support.tls_door import message_of

AUDIT = "SELECT subject, reason FROM audit WHERE action = 'facility_not_yours'"


def test_a_hub_with_mutual_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    issued = {name: authority.issue(name) for name in ("LAB01", "LAB02")}
    files = authority.files.paths()
    env = {
        f"LABDISPATCH_{door}_TLS_{name.upper()}": str(path)
        for door in ("MLLP", "HTTP")
        for name, path in files.items()
    }
    hub = Embedded({**env, "LABDISPATCH_REGISTER_REFRESH_SECONDS": "0.2"})
    try:
        hub.start()
        assert hub.ready["http"].startswith("https://")
        settings = load_settings(data_dir=hub.data_dir)

        async def ask(query: str, *values: object) -> list[tuple[object, ...]]:
            async with connected(connection_of(settings), "looking") as connection:
                with translated():
                    return [tuple(row) for row in await connection.fetch(query, *values)]

        fingerprints = [each.peer.fingerprint for each in issued.values()]
        asyncio.run(ask(REGISTER, list(issued), fingerprints))
        context = client_context(authority, issued["LAB01"])

        async def over_mllp() -> list[str]:
            # The doors take the register's change within a moment; until then they close.
            until = time.monotonic() + 60
            while True:
                try:
                    async with MllpClient("127.0.0.1", hub.mllp_port, tls=context) as client:
                        own = await client.send(message_of("LAB01", "C-1"))
                        other = await client.send(message_of("LAB02", "C-2"))
                        return [own.code, other.code]
                except Exception:
                    if time.monotonic() > until:
                        raise
                    await asyncio.sleep(0.2)

        assert asyncio.run(over_mllp()) == ["AA", "AR"]
        url = f"https://localhost:{hub.http_port}"
        with httpx.Client(verify=context, timeout=60, trust_env=False) as http:
            headers = {"Content-Type": ER7}
            until = time.monotonic() + 60
            while True:
                own = http.post(
                    f"{url}/v1/messages", content=message_of("LAB01", "C-3"), headers=headers
                )
                # This process, too, takes the register's change within a moment.
                if own.status_code != 403 or time.monotonic() > until:
                    break
                time.sleep(0.2)
            assert b"\rMSA|AA|C-3" in own.content
            other = http.post(f"{url}/v1/messages", content=message_of("LAB02"), headers=headers)
            assert b"facility_not_yours" in other.content
            figures = http.get(f"{url}/metrics").text
        assert "labdispatch_foreign_facilities_total 2.0" in figures
        assert hub.drained()["received"] == 2
        until = time.monotonic() + 60
        while not (entries := asyncio.run(ask(AUDIT))):
            assert time.monotonic() < until
        assert entries == [("laboratory LAB01", "spoke for LAB02")]
        hub.stop()
    finally:
        hub.remove()
