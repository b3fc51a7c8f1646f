"""A certificate authority for tests: good, expired, early and revoked certificates on demand."""

from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ops.runtime.tls import PeerCertificate, TlsFiles, read_certificate

DAY = timedelta(days=1)


class Issued(NamedTuple):
    """A certificate and its key, as files."""

    cert: Path
    key: Path
    certificate: x509.Certificate

    @property
    def peer(self) -> PeerCertificate:
        return read_certificate(self.certificate.public_bytes(serialization.Encoding.DER))


class Authority:
    """Issues into a folder; `files` is what a door needs of it."""

    def __init__(self, folder: Path, name: str = "Test CA") -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        self._revoked: list[int] = []
        now = datetime.now(UTC)
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name(self._name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 400 * DAY)
            .not_valid_after(now + 400 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(issues=True), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        self.ca = folder / "ca.pem"
        self.ca.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        self.crl = folder / "crl.pem"
        self.write_crl()
        self.server = self.issue("localhost", server=True)

    def issue(
        self,
        name: str,
        *,
        server: bool = False,
        starts: timedelta = -DAY,
        ends: timedelta = 30 * DAY,
        at: datetime | None = None,
    ) -> Issued:
        """Issue a certificate that holds from `starts` to `ends`, both counted from `at` (now)."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = at or datetime.now(UTC)
        usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = (
            x509.CertificateBuilder()
            .subject_name(_named(name))
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + starts)
            .not_valid_after(now + ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(issues=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
        )
        if server:
            names = [
                x509.DNSName("localhost"),
                x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
            ]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        stem = f"{name.replace('/', '_')}-{certificate.serial_number % 100_000}"
        cert_path, key_path = self.folder / f"{stem}.pem", self.folder / f"{stem}.key"
        cert_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return Issued(cert_path, key_path, certificate)

    def revoke(self, issued: Issued) -> None:
        """Put a certificate on the list."""
        self._revoked.append(issued.certificate.serial_number)
        self.write_crl()

    def write_crl(self, *, ends: timedelta = 30 * DAY) -> None:
        """Write the list; it holds until `ends` from now."""
        now = datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._name)
            .last_update(now - 10 * DAY)
            .next_update(now + ends)
        )
        for serial in self._revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(serial)
                .revocation_date(now - DAY)
                .build()
            )
        signed = builder.sign(self._key, hashes.SHA256())
        fresh = self.crl.with_suffix(".new")
        fresh.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        fresh.replace(self.crl)

    @property
    def files(self) -> TlsFiles:
        return TlsFiles(cert=self.server.cert, key=self.server.key, client_ca=self.ca, crl=self.crl)


def client_context(authority: Authority, issued: Issued | None) -> ssl.SSLContext:
    """What a laboratory's software has: trust in the hub, its own certificate or none."""
    context = ssl.create_default_context(cafile=str(authority.ca))
    if issued is not None:
        context.load_cert_chain(issued.cert, issued.key)
    return context


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _usage(*, issues: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=issues,
        crl_sign=issues,
        encipher_only=False,
        decipher_only=False,
    )
