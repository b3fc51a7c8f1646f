"""S/MIME (RFC 8551): a letter signed by us, and encrypted for who has a certificate."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.serialization import pkcs7

from schemas.errors import PermanentError

_SMIME: Final = serialization.Encoding.SMIME
_MAX_FILE_BYTES: Final = 64 * 1024


class Signer:
    """Signs letters.

    Args:
        cert: PEM of our certificate, first, and of the authorities between.
        key: PEM of its key, without a password.

    Raises:
        PermanentError: `receiver_tls_files`: a file is not there, or is none such.
    """

    def __init__(self, cert: Path, key: Path) -> None:
        try:
            self._cert, *self._between = x509.load_pem_x509_certificates(_read(cert))
            found = serialization.load_pem_private_key(_read(key), password=None)
        except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
            raise _unreadable("--sign-cert or --sign-key") from None
        if not isinstance(found, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
            raise _unreadable("--sign-key (RSA or EC)")
        self._key = found

    def signed(self, entity: bytes) -> bytes:
        """Return a MIME entity inside of a multipart/signed one; line ends are LF."""
        builder = (
            pkcs7.PKCS7SignatureBuilder()
            .set_data(entity)
            .add_signer(self._cert, self._key, hashes.SHA256())
        )
        for each in self._between:
            builder = builder.add_certificate(each)
        return builder.sign(_SMIME, [pkcs7.PKCS7Options.DetachedSignature])


def encrypted(entity: bytes, certificate: x509.Certificate) -> bytes:
    """Return a MIME entity that one recipient alone can read (AES-256)."""
    return (
        pkcs7.PKCS7EnvelopeBuilder()
        .set_data(entity)
        .add_recipient(certificate)
        .set_content_encryption_algorithm(algorithms.AES256)
        .encrypt(_SMIME, [pkcs7.PKCS7Options.Binary])
    )


def certificate_of(folder: Path, address: str) -> x509.Certificate | None:
    """Return the certificate of an address, ADDRESS.pem of a folder; None where there is none.

    Raises:
        PermanentError: It is there, and is none or not for RSA (`bad_certificate`).
    """
    path = folder / f"{address}.pem"
    if path.parent != folder or not path.is_file():
        return None
    try:
        found = x509.load_pem_x509_certificate(_read(path))
    except (OSError, ValueError):
        raise PermanentError("bad_certificate", "the recipient's file is no certificate") from None
    if not isinstance(found.public_key(), rsa.RSAPublicKey):
        raise PermanentError("bad_certificate", "the recipient's certificate is not for RSA")
    return found


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MAX_FILE_BYTES)


def _unreadable(what: str) -> PermanentError:
    return PermanentError("receiver_tls_files", f"{what} cannot be read as PEM")
