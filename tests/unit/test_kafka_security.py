from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from ops.ca import DevelopmentCa
from ops.runtime.kafka_security import (
    MAX_PASSWORD_BYTES,
    KafkaProtocol,
    KafkaSecurity,
    SaslMechanism,
)
from schemas.decision import Realm
from schemas.errors import FatalError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    authority = DevelopmentCa(tmp_path / "ca", Realm.TEST)
    authority.init()
    authority.issue_client("hub")
    authority.issue_client("other")
    return tmp_path / "ca"


def _password(folder: Path, content: bytes, mode: int = 0o600) -> KafkaSecurity:
    path = folder / "password"
    path.write_bytes(content)
    path.chmod(mode)
    return KafkaSecurity(
        protocol=KafkaProtocol.SASL_SSL,
        ca=folder / "ca.pem",
        user="hub",
        password_file=path,
        mechanism=SaslMechanism.SCRAM_256,
    )


def test_clear_text_needs_nothing() -> None:
    assert KafkaSecurity().client_options() == {}


def test_tls_asks_for_the_brokers_certificate_and_name(folder: Path) -> None:
    options = KafkaSecurity(
        protocol=KafkaProtocol.SSL,
        ca=folder / "ca.pem",
        cert=folder / "client-hub.pem",
        key=folder / "client-hub.key",
    ).client_options()
    assert set(options) == {"security_protocol", "ssl_context"}
    assert options["security_protocol"] == "SSL"
    context = options["ssl_context"]
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("content", [b"s3cret", b"s3cret\n", b"s3cret\r\n"])
def test_the_password_is_the_line_of_its_file(folder: Path, content: bytes) -> None:
    security = _password(folder, content)
    options = security.client_options()
    assert options["security_protocol"] == "SASL_SSL"
    assert options["sasl_mechanism"] == "SCRAM-SHA-256"
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("hub", "s3cret")
    assert "s3cret" not in repr(security)


@pytest.mark.parametrize(
    ("content", "mode"),
    [
        (b"", 0o600),
        (b"\n", 0o600),
        (b"two\nlines\n", 0o600),
        (b"\xff\xfe", 0o600),
        (b"x" * (MAX_PASSWORD_BYTES + 1), 0o600),
        (b"s3cret", 0o604),
    ],
)
def test_another_password_file_is_refused_and_not_shown(
    folder: Path, content: bytes, mode: int
) -> None:
    with pytest.raises(FatalError, match="kafka_sasl_password_file") as caught:
        _password(folder, content, mode).client_options()
    assert caught.value.reason == "kafka_security_invalid"
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"ca": "none.pem"}, "kafka_ca"),
        ({"ca": "client-hub.key"}, "kafka_ca"),
        ({"cert": "client-hub.pem", "key": "client-other.key"}, "kafka_cert and kafka_key"),
        ({"cert": "none.pem", "key": "client-hub.key"}, "kafka_cert and kafka_key"),
    ],
)
def test_files_that_do_not_fit_name_their_setting(
    folder: Path, named: dict[str, str], said: str
) -> None:
    files = {"ca": folder / "ca.pem"} | {name: folder / file for name, file in named.items()}
    with pytest.raises(FatalError, match=said):
        KafkaSecurity(protocol=KafkaProtocol.SSL, **files).client_options()  # type: ignore[arg-type]
