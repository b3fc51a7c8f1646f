"""How the brokers are spoken to: in clear text, over TLS, or over TLS with a name and a password.

A name and a password never go over clear text: there is no such way. Files are read when a client
starts; the password is in no settings, no log and no error.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from schemas.errors import FatalError

if TYPE_CHECKING:
    import ssl

REASON: Final = "kafka_security_invalid"
MAX_PASSWORD_BYTES: Final = 1_024
_OPEN_TO_OTHERS: Final = 0o007


class KafkaProtocol(StrEnum):
    """What lies below Kafka's own protocol."""

    PLAINTEXT = "plaintext"
    SSL = "ssl"
    SASL_SSL = "sasl_ssl"


class SaslMechanism(StrEnum):
    """How a name and a password are proved."""

    PLAIN = "PLAIN"
    SCRAM_256 = "SCRAM-SHA-256"
    SCRAM_512 = "SCRAM-SHA-512"


class KafkaSecurity(msgspec.Struct, frozen=True, kw_only=True):
    """What a client shows the brokers, and by what it knows them."""

    protocol: KafkaProtocol = KafkaProtocol.PLAINTEXT
    ca: Path | None = None
    """Authorities of the brokers' certificates; None: those of this machine."""
    cert: Path | None = None
    """Our certificate with its chain, where brokers ask for one."""
    key: Path | None = None
    mechanism: SaslMechanism = SaslMechanism.SCRAM_512
    user: str = ""
    password_file: Path | None = None

    def client_options(self) -> dict[str, Any]:
        """Return what each client is made with; reads the files.

        Raises:
            FatalError: A file cannot be used (`kafka_security_invalid`); names the setting.
        """
        if self.protocol is KafkaProtocol.PLAINTEXT:
            return {}
        options: dict[str, Any] = {
            "security_protocol": self.protocol.value.upper(),
            "ssl_context": self._context(),
        }
        if self.protocol is KafkaProtocol.SASL_SSL:
            options["sasl_mechanism"] = self.mechanism.value
            options["sasl_plain_username"] = self.user
            options["sasl_plain_password"] = self._password()
        return options

    def _context(self) -> ssl.SSLContext:
        # Here: the settings know this module, and every command of the command line reads those.
        import ssl  # noqa: PLC0415

        # The default context of a client: it asks for a certificate, and for the broker's name.
        try:
            context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=self.ca)
        except (OSError, ValueError):
            raise _unfit("kafka_ca", "a PEM file with the brokers' authorities") from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.cert is not None:
            try:
                # A key with a password would wait for somebody to type it.
                context.load_cert_chain(self.cert, self.key, password=b"")
            except (OSError, ValueError):
                raise _unfit(
                    "kafka_cert and kafka_key", "PEM files that fit together, the key unencrypted"
                ) from None
        return context

    def _password(self) -> str:
        what = f"a file of one line, {MAX_PASSWORD_BYTES} bytes at most"
        if self.password_file is None:
            raise _unfit("kafka_sasl_password_file", what)
        try:
            if self.password_file.stat().st_mode & _OPEN_TO_OTHERS:
                raise _unfit("kafka_sasl_password_file", "a file that others may not read")
            with self.password_file.open("rb") as file:
                content = file.read(MAX_PASSWORD_BYTES + 3)
            line = content.removesuffix(b"\n").removesuffix(b"\r").decode()
        except (OSError, ValueError):
            raise _unfit("kafka_sasl_password_file", what) from None
        if not line or len(line.encode()) > MAX_PASSWORD_BYTES or "\n" in line:
            raise _unfit("kafka_sasl_password_file", what)
        return line


def _unfit(setting: str, wanted: str) -> FatalError:
    return FatalError(REASON, f"{setting}: give {wanted} (docs/kafka.md)")
