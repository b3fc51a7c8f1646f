"""The whole product with a mutual-TLS door, and laboratories in its register with certificates."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from ops.bootstrap import connection_of
from ops.runtime.data_folder import ProcessLedger
from ops.runtime.postgres import connected, translated
from ops.runtime.settings import Settings, load_settings
from tests.support.certificates import Authority, Issued
from tests.support.product import Embedded

REGISTER: Final = """
WITH made AS (
    INSERT INTO lab (registry_id, name, state, profile)
    SELECT n, n, 'live', 'fr' FROM unnest($1::text[]) AS n
    RETURNING lab_id, registry_id
)
INSERT INTO lab_certificate (lab_id, fingerprint, subject, not_before, not_after)
SELECT m.lab_id, c.fingerprint, 'CN=' || c.registry_id, now() - interval '1 hour',
       now() + interval '20 days'
FROM unnest($1::text[], $2::bytea[]) AS c (registry_id, fingerprint)
JOIN made m USING (registry_id)
"""
_PAGE: Final = 4_096


class TlsHub(msgspec.Struct, frozen=True, kw_only=True):
    """A product that runs, and who may connect to it."""

    settings: Settings
    authority: Authority
    stranger: Issued
    """Of an authority that the hub does not know."""
    labs: dict[str, Issued]
    ingest_pids: tuple[int, ...]

    def resident_bytes(self) -> int:
        """Return what the ingest processes hold in memory now."""
        return sum(_resident(pid) for pid in self.ingest_pids)

    def taken_bytes(self) -> int:
        """Return what the ingest processes take of the machine: what they share (code) once."""
        pages = [_pages_of(pid) for pid in self.ingest_pids]
        return sum(own for own, _ in pages) + max(resident - own for own, resident in pages)


@contextmanager
def running_with_tls(labs: int, **env: str) -> Iterator[TlsHub]:
    """Start the product on the embedded engine with `labs` laboratories; end it and remove it."""
    with TemporaryDirectory(prefix="ld-tls-") as name:
        folder = Path(name)
        authority = Authority(folder / "ca")
        stranger = Authority(folder / "stranger", "Stranger CA").issue("NOBODY")
        files = authority.files
        hub = Embedded(
            {
                "LABDISPATCH_MLLP_TLS_CERT": str(files.cert),
                "LABDISPATCH_MLLP_TLS_KEY": str(files.key),
                "LABDISPATCH_MLLP_TLS_CLIENT_CA": str(files.client_ca),
                "LABDISPATCH_MLLP_TLS_CRL": str(files.crl),
                "LABDISPATCH_REGISTER_REFRESH_SECONDS": "1",
                "LABDISPATCH_MAX_CONNECTIONS": "9000",
                "LABDISPATCH_MAX_CONNECTIONS_PER_ADDRESS": "9000",
                **env,
            }
        )
        try:
            hub.start()
            settings = load_settings(data_dir=hub.data_dir, mllp_port=hub.mllp_port)
            issued = {f"TLS{number:05d}": authority.issue(f"TLS{number:05d}")
                      for number in range(labs)}  # fmt: skip
            asyncio.run(_register(settings, issued))
            children = ProcessLedger(hub.data_dir).children()
            yield TlsHub(
                settings=settings,
                authority=authority,
                stranger=stranger,
                labs=issued,
                ingest_pids=tuple(
                    each.process.pid for each in children if each.role.startswith("ingest")
                ),
            )
            hub.stop()
        finally:
            hub.remove()


async def _register(settings: Settings, issued: dict[str, Issued]) -> None:
    async with connected(connection_of(settings), "looking") as connection:
        with translated():
            await connection.execute(
                REGISTER, list(issued), [each.peer.fingerprint for each in issued.values()]
            )
    # Doors look at the register once a second.
    await asyncio.sleep(3)


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


def _pages_of(pid: int) -> tuple[int, int]:
    """Return the bytes of a process's own pages, and of all that are resident."""
    found = {"Anonymous": 0, "Rss": 0}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines():
        name, _, rest = line.partition(":")
        if name in found:
            found[name] = int(rest.split()[0]) * 1_024
    return found["Anonymous"], found["Rss"]
