"""A certificate authority for development and tests: never one for production.

Its key lies in a folder of this machine, nobody checks who asks, and what it issues lives for
weeks. Keys are EC P-256, files are readable by their owner alone.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ops.runtime.certificates import read_certificate
from ops.runtime.data_folder import make_folder, write_private
from schemas.decision import Realm
from schemas.errors import PermanentError

CA_DAYS: Final = 365
LEAF_DAYS: Final = 90
_ORGANISATION: Final = "labdispatch development CA"
_SLACK: Final = timedelta(minutes=5)
"""Clocks of two machines differ."""
_MAX_NAME: Final = 64  # X.520, ub-common-name


class Issued(msgspec.Struct, frozen=True, kw_only=True):
    """Files that were written, and what the register is told of a certificate."""

    certificate: str
    key: str
    fingerprint: str
    subject: str
    not_after: datetime


class DevelopmentCa:
    """The authority of one folder.

    Args:
        folder: Where its files are, or will be.
        realm: Of the settings: in production there is none of it.

    Raises:
        PermanentError: Realm production (`development_only`).
    """

    def __init__(self, folder: Path, realm: Realm) -> None:
        if realm is Realm.PRODUCTION:
            raise PermanentError(
                "development_only",
                "realm production takes certificates of a real authority: this one proves nothing",
            )
        self._folder = folder

    def init(self, *, days: int = CA_DAYS) -> Issued:
        """Make the authority's key and certificate.

        Raises:
            PermanentError: There is one already (`ca_exists`).
        """
        self._folder = make_folder(self._folder)
        if (self._folder / "ca.pem").exists() or (self._folder / "ca.key").exists():
            raise PermanentError("ca_exists", "name another --folder, or use the one that is there")
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name("development root")
        made = (
            _builder(subject, subject, key.public_key(), days)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_others=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        issued = self._write("ca", key, made)
        self._write_crl(key, made, [])
        return issued

    def issue_server(self, hosts: tuple[str, ...], *, days: int = LEAF_DAYS) -> Issued:
        """Issue a certificate for a door, good for these names and addresses.

        Raises:
            PermanentError: No authority here yet, or an unusable name.
        """
        if not hosts:
            raise PermanentError(
                "bad_name", "name the host or address that laboratories connect to"
            )
        names = x509.SubjectAlternativeName([_host(host) for host in hosts])
        return self._issue("server", hosts[0], ExtendedKeyUsageOID.SERVER_AUTH, days, names)

    def issue_client(self, name: str, *, days: int = LEAF_DAYS) -> Issued:
        """Issue a certificate for a laboratory; its common name is the one given.

        Raises:
            PermanentError: No authority here yet, or an unusable name.
        """
        return self._issue(f"client-{name}", name, ExtendedKeyUsageOID.CLIENT_AUTH, days, None)

    def revoke(self, content: bytes) -> int:
        """Put a certificate of this authority on its list (`crl.pem`); return how many are on it.

        Raises:
            PermanentError: No authority here, or a certificate that it did not issue.
        """
        key, own = self._own()
        read_certificate(content)
        try:
            found = x509.load_pem_x509_certificate(content)
            found.verify_directly_issued_by(own)
        except (ValueError, TypeError, InvalidSignature):
            raise PermanentError(
                "not_issued_here", "give a PEM certificate that this authority issued"
            ) from None
        listed = x509.load_pem_x509_crl((self._folder / "crl.pem").read_bytes())
        entries = list(listed)
        if listed.get_revoked_certificate_by_serial_number(found.serial_number) is None:
            entries.append(
                x509.RevokedCertificateBuilder()
                .serial_number(found.serial_number)
                .revocation_date(datetime.now(UTC))
                .build()
            )
        self._write_crl(key, own, entries)
        return len(entries)

    # ------------------------------------------------------------------ inside

    def _issue(
        self,
        file: str,
        name: str,
        purpose: x509.ObjectIdentifier,
        days: int,
        names: x509.SubjectAlternativeName | None,
    ) -> Issued:
        if not name.strip() or len(name) > _MAX_NAME or not name.isprintable():
            raise PermanentError("bad_name", f"give 1 to {_MAX_NAME} printable characters")
        ca_key, own = self._own()
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _builder(_name(name), own.subject, key.public_key(), days)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_others=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()),
                critical=False,
            )
        )
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        return self._write(_file_name(file), key, builder.sign(ca_key, hashes.SHA256()))

    def _own(self) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        try:
            key = load_pem_private_key((self._folder / "ca.key").read_bytes(), None)
            own = x509.load_pem_x509_certificate((self._folder / "ca.pem").read_bytes())
        except FileNotFoundError:
            raise PermanentError("no_ca", "make one first: `labdispatch ca init`") from None
        except ValueError:
            raise PermanentError("ca_damaged", "make another: `labdispatch ca init`") from None
        assert isinstance(key, ec.EllipticCurvePrivateKey), "init makes no other"
        return key, own

    def _write(
        self, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate
    ) -> Issued:
        paths = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        pem = certificate.public_bytes(Encoding.PEM)
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_private(paths[1], secret)
        write_private(paths[0], pem)
        said = read_certificate(pem)
        return Issued(
            certificate=str(paths[0]),
            key=str(paths[1]),
            fingerprint=said.fingerprint.hex(),
            subject=said.subject,
            not_after=said.not_after,
        )

    def _write_crl(
        self,
        key: ec.EllipticCurvePrivateKey,
        own: x509.Certificate,
        entries: list[x509.RevokedCertificate],
    ) -> None:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(own.subject)
            .last_update(now - _SLACK)
            .next_update(now + timedelta(days=CA_DAYS))
        )
        for entry in entries:
            builder = builder.add_revoked_certificate(entry)
        made = builder.sign(key, hashes.SHA256())
        write_private(self._folder / "crl.pem", made.public_bytes(Encoding.PEM))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SLACK)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_others: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_others,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_others,
        crl_sign=signs_others,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANISATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        pass
    try:
        return x509.DNSName(host)
    except ValueError:
        raise PermanentError("bad_name", "a host name is ASCII: give its IDNA form") from None


def _file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name)
