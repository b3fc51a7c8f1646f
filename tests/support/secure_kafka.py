"""A real broker that also listens over TLS, and over TLS with a name and a password."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ops.ca import DevelopmentCa
from ops.runtime.kafka_security import KafkaProtocol, KafkaSecurity
from schemas.decision import Realm

from .kafka import KafkaCluster, free_ports

USER: Final = "hub"
PASSWORD: Final = "correct-horse-9"
_SCRAM: Final = "org.apache.kafka.common.security.scram.ScramLoginModule"


class SecureKafka(KafkaCluster):
    """One broker, with a development CA of its own; in clear text it speaks to itself alone.

    Args:
        folder: Holds the broker and the authority's files.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "kafka")
        self.folder = folder
        self.authority = DevelopmentCa(folder / "ca", Realm.TEST)
        self.authority.init()
        self.server = self.authority.issue_server(("localhost", "127.0.0.1"))
        self.client = self.authority.issue_client("hub")
        self.password_file = folder / "password"
        self.password_file.write_text(f"{PASSWORD}\n")
        self.password_file.chmod(0o600)
        self._secure_ports = free_ports(2)
        self._format_options = [
            "--add-scram",
            f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]",
        ]

    @property
    def over_tls(self) -> str:
        """The listener that asks for a certificate."""
        return f"127.0.0.1:{self._secure_ports[0]}"

    @property
    def with_password(self) -> str:
        """The listener that asks for a name and a password."""
        return f"127.0.0.1:{self._secure_ports[1]}"

    @property
    def ca(self) -> Path:
        """The authority of its certificate."""
        return self.folder / "ca" / "ca.pem"

    def by_certificate(self) -> KafkaSecurity:
        """What opens `over_tls`."""
        return KafkaSecurity(
            protocol=KafkaProtocol.SSL,
            ca=self.ca,
            cert=Path(self.client.certificate),
            key=Path(self.client.key),
        )

    def by_password(self) -> KafkaSecurity:
        """What opens `with_password`."""
        return KafkaSecurity(
            protocol=KafkaProtocol.SASL_SSL,
            ca=self.ca,
            user=USER,
            password_file=self.password_file,
        )

    def _properties(self, node: int) -> str:
        store = self.folder / "broker.pem"
        key, chain = (Path(each).read_text() for each in (self.server.key, self.server.certificate))
        store.write_text(key + chain)
        clear, control = self._ports
        secure, named = self._secure_ports
        # The last of equal names counts.
        added = {
            "listeners": f"PLAINTEXT://127.0.0.1:{clear},CONTROLLER://127.0.0.1:{control},"
            f"SSL://127.0.0.1:{secure},SASL_SSL://127.0.0.1:{named}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{clear},SSL://127.0.0.1:{secure},"
            f"SASL_SSL://127.0.0.1:{named}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SSL:SSL,"
            "SASL_SSL:SASL_SSL",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": store,
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": self.ca,
            "listener.name.ssl.ssl.client.auth": "required",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": f"{_SCRAM} required;",
        }
        return super()._properties(node) + "".join(f"{k}={v}\n" for k, v in added.items())
