"""TLS material of one door: contexts out of files, read again when the files change.

A context of a running door always comes from a set of files that fitted together: what does not
load leaves the one before in use, is logged and counted. Never holds a private key in memory of
its own: OpenSSL reads it.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes

from schemas.errors import FatalError

from .certificates import Certificate
from .logs import get_logger
from .metrics import METRICS

_log = get_logger(__name__)

TLS_1_2_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL"
"""Forward secrecy and authenticated encryption only; TLS 1.3 has nothing else."""
_MAX_FILE_BYTES: Final = 64 * 1024 * 1024

Demand = Literal["required", "optional", "none"]
"""Whether a peer has to show a certificate."""
Invalid = Literal["certificate_expired", "certificate_not_yet_valid", "certificate_revoked"]


class TlsFiles(msgspec.Struct, frozen=True, kw_only=True):
    """Where the material of one door lies; PEM, each file may hold several."""

    cert: Path
    """Our certificate, with what leads from it to its authority."""
    key: Path
    client_ca: Path | None = None
    """Authorities whose client certificates are taken."""
    crl: Path | None = None
    """Revocation lists: one of every authority that issues client certificates."""

    def paths(self) -> dict[str, Path]:
        """Return the files there are, by the name of their setting."""
        named = {"cert": self.cert, "key": self.key, "client_ca": self.client_ca, "crl": self.crl}
        return {name: path for name, path in named.items() if path is not None}


class DoorSSLObject(ssl.SSLObject):
    """A TLS session whose owner may hear of a half-close instead of losing its last answers.

    uvloop shuts a session down at the peer's close_notify, with every answer that is not written
    yet. Where `on_end` is set it is called instead, once, and the session goes on in the other
    direction, which TLS allows (RFC 8446 6.1).
    """

    on_end: Callable[[], object] | None = None
    has_ended: bool = False

    def getpeercert(self, binary_form: bool = False) -> Any:  # noqa: FBT001, FBT002 - ssl's own
        """Return the certificate as DER alone.

        uvloop asks for the decoded form at each handshake and keeps it with the connection: 4 kB
        that nobody reads.
        """
        return super().getpeercert(binary_form=True) if binary_form else {}

    def read(self, len: int = 1024, buffer: bytearray | None = None) -> bytes:  # type: ignore[override]  # noqa: A002
        """Read as `ssl.SSLObject` does; nothing more to come is no end where somebody listens."""
        got = super().read(len, buffer)
        if got or self.on_end is None:
            return got
        if not self.has_ended:
            self.has_ended = True
            self.on_end()
        raise ssl.SSLWantReadError


class TlsMaterial:
    """The context in use, and which serial numbers are revoked.

    Args:
        files: Where it lies.
        door: Name of the door in logs and figures: mllp or http.
        demand: Whether a peer has to show a certificate.

    Raises:
        FatalError: A file is missing or does not fit (`tls_files_invalid`); names the setting.
    """

    def __init__(self, files: TlsFiles, *, door: str, demand: Demand) -> None:
        self._files = files
        self._door = door
        self._demand: Demand = demand
        self._marks = self._look()
        self.context, self._revoked = self._load()
        self._tell_end(files.cert)

    def refresh(self) -> bool:
        """Load again if a file changed; False where the new files do not fit (the old stay)."""
        marks = self._look()
        if marks == self._marks:
            return True
        try:
            self.context, self._revoked = self._load()
        except FatalError as error:
            METRICS.tls_reloads.labels(self._door, "failed").inc()
            _log.error("tls_reload_failed", reason=error.reason, remedy=error.remedy)
            return False
        # What changed while it was read differs from the marks of before, and is read again.
        self._marks = marks
        self._tell_end(self._files.cert)
        METRICS.tls_reloads.labels(self._door, "loaded").inc()
        _log.info("tls_reloaded", reason=self._door)
        return True

    def why_invalid(self, certificate: Certificate, now: datetime) -> Invalid | None:
        """Say why a certificate no longer holds; None while it does."""
        if now > certificate.not_after:
            return "certificate_expired"
        if now < certificate.not_before:
            return "certificate_not_yet_valid"
        if (certificate.issuer, certificate.serial) in self._revoked:
            return "certificate_revoked"
        return None

    def _look(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_mark(path) for path in self._files.paths().values())

    def _load(self) -> tuple[ssl.SSLContext, frozenset[tuple[bytes, int]]]:
        files = self._files
        for name, path in files.paths().items():
            self._check_file(name, path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(TLS_1_2_CIPHERS)
        # No resumption: a session that goes on would skip today's files and lists.
        context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
        context.num_tickets = 0
        context.sslobject_class = DoorSSLObject
        try:
            # A key with a password would make OpenSSL ask on the terminal.
            context.load_cert_chain(files.cert, files.key, password=lambda: "")
        except (OSError, ValueError):
            raise self._unfit(
                "cert", "certificate and key do not fit together, or the key has a password"
            ) from None
        if self._demand == "none" or files.client_ca is None:
            if self._demand == "required":
                raise self._unfit("client_ca", "is needed: whose client certificates are taken")
            return context, frozenset()
        context.verify_mode = ssl.CERT_REQUIRED if self._demand == "required" else ssl.CERT_OPTIONAL
        self._trust(context, "client_ca", files.client_ca)
        if files.crl is None:
            return context, frozenset()
        self._trust(context, "crl", files.crl)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        return context, self._read_lists(files.client_ca, files.crl)

    def _tell_end(self, cert: Path) -> None:
        """Tell when our own certificate ends: whoever looks at it does not connect any more."""
        try:
            own = x509.load_pem_x509_certificates(cert.read_bytes())[0]
        except (OSError, ValueError):
            return  # OpenSSL has taken it; only the figure is missing
        ends_at = own.not_valid_after_utc.timestamp()
        METRICS.tls_certificate_ends.labels(self._door).set(ends_at)

    def _trust(self, context: ssl.SSLContext, name: str, path: Path) -> None:
        try:
            context.load_verify_locations(cafile=path)
        except (OSError, ValueError):
            raise self._unfit(name, "is not a file of PEM that can be read") from None

    def _read_lists(self, client_ca: Path, crl: Path) -> frozenset[tuple[bytes, int]]:
        try:
            authorities = x509.load_pem_x509_certificates(client_ca.read_bytes())
            lists = [
                x509.load_pem_x509_crl(b"-----BEGIN X509 CRL-----" + part)
                for part in crl.read_bytes().split(b"-----BEGIN X509 CRL-----")[1:]
            ]
        except (OSError, ValueError):
            raise self._unfit("crl", "is not a file of PEM that can be read") from None
        keys = {each.subject.public_bytes(): each.public_key() for each in authorities}
        for each in lists:
            key = keys.get(each.issuer.public_bytes())
            # Every handshake would fail later; a file of somebody else is said now.
            if key is None or not each.is_signature_valid(_issuer_key(key)):
                raise self._unfit("crl", "holds a list that none of client_ca has signed")
        if {each.issuer.public_bytes() for each in lists} != set(keys):
            raise self._unfit("crl", "needs a list of every authority in client_ca")
        return frozenset(
            (each.issuer.public_bytes(), entry.serial_number) for each in lists for entry in each
        )

    def _check_file(self, name: str, path: Path) -> None:
        try:
            size = path.stat().st_size
        except OSError:
            raise self._unfit(name, "names a file that cannot be read") from None
        if size > _MAX_FILE_BYTES:
            raise self._unfit(name, "names a file of more than 64 MiB")

    def _unfit(self, name: str, what: str) -> FatalError:
        return FatalError(
            "tls_files_invalid",
            f"LABDISPATCH_{self._door.upper()}_TLS_{name.upper()} {what} (docs/tls.md)",
        )


def _mark(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _issuer_key(key: object) -> CertificateIssuerPublicKeyTypes:
    # The types that sign are those that can have signed: others fail in the check.
    return key  # type: ignore[return-value]
