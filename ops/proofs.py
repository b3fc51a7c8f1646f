"""Who sends a request: the laboratory of a client certificate or of a bearer token.

Never a header of a proxy: what the connection itself has proved, or a secret of the laboratory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ingest.lab import Lab, Peer
from ingest.peers import CertificateDoor, PeerRegister, peer_of
from ops.runtime.certificates import Certificate

PEER_CERTIFICATE: Final = "labdispatch.peer_certificate"
"""Key of the ASGI scope under which the protocol puts what the connection has proved."""


class NotProved(msgspec.Struct, frozen=True):
    """Why a request is nobody's, and what to do."""

    status: int
    detail: str


_NOTHING: Final = NotProved(
    401, "show a client certificate, or send Authorization: Bearer with your laboratory's token"
)
_TOKEN: Final = NotProved(401, "this token is no laboratory's: ask the hub's operators for one")
_CERTIFICATE: Final = NotProved(
    403, "this certificate is no laboratory's, or no longer: ask the hub's operators"
)
_BOTH: Final = NotProved(403, "certificate and token are of different laboratories: send one")


class Proofs:
    """Finds the laboratory that a request is from.

    Args:
        register: Whose certificates and tokens there are.
        certificates: What turns a certificate into a laboratory; None where HTTP is clear text.
    """

    def __init__(self, register: PeerRegister, certificates: CertificateDoor | None) -> None:
        self._register = register
        self._certificates = certificates

    def peer(self, scope: Mapping[str, Any], authorization: str) -> Peer | NotProved | None:
        """Return who sends; None on loopback in clear text, where nobody has to prove anything."""
        by_token: Lab | None = None
        if authorization:
            scheme, _, token = authorization.partition(" ")
            by_token = (
                self._register.of_token(token.strip()) if scheme.lower() == "bearer" else None
            )
            if by_token is None:
                return _TOKEN
        certificate = scope.get(PEER_CERTIFICATE)
        if isinstance(certificate, Certificate) and self._certificates is not None:
            # Looked at with each request: nothing has to be looked at again.
            found = self._certificates.identify(certificate)
            if not isinstance(found, Lab):
                return _CERTIFICATE
            if by_token is not None and by_token.lab_id != found.lab_id:
                return _BOTH
            return peer_of(found, "certificate")
        if by_token is not None:
            return peer_of(by_token, "token")
        # Clear text is refused beyond loopback at the start (ops/runtime/settings.py).
        return None if self._certificates is None else _NOTHING
