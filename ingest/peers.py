"""Who is at the other end: what a peer has proved, and for how long that holds.

A certificate is proved by the handshake, belongs to a laboratory by the register, and is judged
again while its connection is open. Whom a laboratory may speak for is the register's word.
"""

from __future__ import annotations

from typing import Final, Literal, Protocol

from ops.runtime.clock import Clock
from ops.runtime.handshake import HandshakeLimits
from ops.runtime.tls import PeerCertificate, TlsMaterial

from .lab import Lab, Peer, Proof

Unfit = Literal[
    "unknown_certificate",
    "certificate_expired",
    "certificate_not_yet_valid",
    "certificate_revoked",
    "laboratory_suspended",
]
"""Why a peer with a certificate is let go; label of `labdispatch_connections_closed`."""
SUSPENDED: Final = "suspended"


class PeerRegister(Protocol):
    """What a door asks the register of laboratories about its peers; never waits."""

    def of_certificate(self, fingerprint: bytes, subject: str) -> Lab | None:
        """Return whose certificate this is: by its SHA-256 fingerprint, else by its subject."""
        ...

    def of_token(self, token: str) -> Lab | None:
        """Return whose token this is."""
        ...


def peer_of(lab: Lab, proof: Proof) -> Peer:
    """Return the peer that has proved to be this laboratory."""
    return Peer(lab_id=lab.lab_id, registry_id=lab.registry_id, proof=proof)


class CertificateDoor:
    """What turns a certificate into a peer at a TLS door, now and at each later look.

    Args:
        material: The door's TLS files, with the revocation lists.
        register: Whose certificates these are.
        clock: Gives the time of a look.
        limits: What a handshake may take.
        recheck_seconds: How often open connections are looked at again.
    """

    def __init__(
        self,
        material: TlsMaterial,
        register: PeerRegister,
        clock: Clock,
        *,
        limits: HandshakeLimits | None = None,
        recheck_seconds: float = 300.0,
    ) -> None:
        self.material = material
        self.limits = limits or HandshakeLimits()
        self.recheck_seconds = recheck_seconds
        self._register = register
        self._clock = clock

    def identify(self, certificate: PeerCertificate) -> Lab | Unfit:
        """Return the laboratory a certificate proves now, or why it proves none.

        A suspended laboratory is one: its messages are answered with the reason.
        """
        invalid = self.material.why_invalid(certificate, self._clock.now())
        if invalid is not None:
            return invalid
        lab = self._register.of_certificate(certificate.fingerprint, certificate.subject)
        return "unknown_certificate" if lab is None else lab

    def look_again(self, certificate: PeerCertificate, was: Peer) -> Unfit | None:
        """Say why an open connection has to go; None while its certificate proves the same."""
        found = self.identify(certificate)
        if not isinstance(found, Lab):
            return found
        if found.lab_id != was.lab_id:
            return "unknown_certificate"
        return "laboratory_suspended" if found.state == SUSPENDED else None
