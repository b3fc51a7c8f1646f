"""TLS of the doors, put together from the settings; files are read again while it runs."""

from __future__ import annotations

import asyncio
from typing import Literal

from ingest.peers import CertificateDoor, PeerRegister
from ops.runtime.clock import Clock
from ops.runtime.handshake import HandshakeLimits
from ops.runtime.settings import Settings
from ops.runtime.tls import TlsFiles, TlsMaterial


def material_of(settings: Settings, door: Literal["mllp", "http"]) -> TlsMaterial | None:
    """Return the TLS files of a door, loaded; None where it speaks clear text.

    Raises:
        FatalError: A file is missing or does not fit; names the setting.
    """
    if door == "mllp":
        cert, key = settings.mllp_tls_cert, settings.mllp_tls_key
        client_ca, crl = settings.mllp_tls_client_ca, settings.mllp_tls_crl
    else:
        cert, key = settings.http_tls_cert, settings.http_tls_key
        client_ca, crl = settings.http_tls_client_ca, settings.http_tls_crl
    if cert is None or key is None:
        return None
    files = TlsFiles(cert=cert, key=key, client_ca=client_ca, crl=crl)
    # Readers of streams come over HTTPS with a token alone.
    return TlsMaterial(files, door=door, demand="required" if door == "mllp" else "optional")


def certificate_door(
    settings: Settings, material: TlsMaterial | None, register: PeerRegister, clock: Clock
) -> CertificateDoor | None:
    """Return what turns certificates into laboratories at a door; None at one in clear text."""
    if material is None:
        return None
    return CertificateDoor(
        material,
        register,
        clock,
        limits=handshake_limits(settings),
        recheck_seconds=settings.tls_recheck_seconds,
    )


def handshake_limits(settings: Settings) -> HandshakeLimits:
    """Return what a handshake may take."""
    return HandshakeLimits(
        handshake_seconds=settings.tls_handshake_seconds,
        shutdown_seconds=settings.tls_shutdown_seconds,
        handshakes_per_turn=settings.tls_handshakes_per_turn,
        handshakes_at_once=settings.tls_handshakes_at_once,
    )


async def keep_tls_fresh(material: TlsMaterial | None, period_seconds: float) -> None:
    """Read the files again whenever they change, for ever; what does not fit is not used."""
    while material is not None:
        await asyncio.sleep(period_seconds)
        material.refresh()
    await asyncio.Event().wait()
