from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ops.runtime.kafka_security import KafkaProtocol, KafkaSecurity
from ops.runtime.settings import Engine, load_settings
from schemas.decision import Realm
from schemas.errors import FatalError

TLS: dict[str, Any] = {
    "mllp_tls_cert": "cert.pem",
    "mllp_tls_key": "key.pem",
    "mllp_tls_client_ca": "ca.pem",
}


def test_the_defaults_are_the_embedded_engine_on_loopback() -> None:
    settings = load_settings()
    assert (settings.engine, settings.realm) == (Engine.EMBEDDED, Realm.TEST)
    assert settings.mllp_host == settings.http_host == "127.0.0.1"
    assert settings.partition_count == 16
    assert settings.registers_unknown


def test_an_unknown_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABDISPATCH_MLLP_PROT", "2575")
    with pytest.raises(FatalError, match="LABDISPATCH_MLLP_PROT"):
        load_settings()


def test_a_wrong_value_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABDISPATCH_MLLP_PORT", "secret-looking")
    with pytest.raises(FatalError) as caught:
        load_settings()
    assert "LABDISPATCH_MLLP_PORT" in str(caught.value)
    assert "secret-looking" not in str(caught.value)


def test_realm_test_listens_on_loopback_only() -> None:
    with pytest.raises(FatalError, match="loopback"):
        load_settings(mllp_host="0.0.0.0")


def test_beyond_loopback_or_in_production_nobody_registers_by_sending() -> None:
    assert not load_settings(realm=Realm.PRODUCTION).registers_unknown
    far = load_settings(
        realm=Realm.PRODUCTION, mllp_host="10.0.0.1", register_unknown_labs=True, **TLS
    )
    assert not far.registers_unknown
    assert not load_settings(register_unknown_labs=False).registers_unknown


@pytest.mark.parametrize("door", ["mllp", "http"])
def test_beyond_loopback_no_door_speaks_clear_text(door: str) -> None:
    with pytest.raises(FatalError, match=f"{door}_host is beyond loopback: set {door}_tls_cert"):
        load_settings(realm=Realm.PRODUCTION, **{f"{door}_host": "0.0.0.0"})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"mllp_tls_cert": "a"}, "come together"),
        ({"mllp_tls_cert": "a", "mllp_tls_key": "b"}, "needs mllp_tls_client_ca"),
        ({"http_tls_client_ca": "a"}, "need http_tls_cert"),
        ({"http_tls_cert": "a", "http_tls_key": "b", "http_tls_crl": "c"}, "needs http_tls_client"),
    ],
)
def test_half_of_the_tls_files_is_refused(given: dict[str, str], said: str) -> None:
    with pytest.raises(FatalError, match=said):
        load_settings(**given)


def test_the_cluster_needs_its_database() -> None:
    with pytest.raises(FatalError, match="postgres_dsn"):
        load_settings(engine=Engine.CLUSTER)


def test_every_dispatch_worker_finds_a_connection() -> None:
    with pytest.raises(FatalError, match="pool_connections is to be 12 or more"):
        load_settings(dispatch_workers=4, pool_connections=11)
    assert load_settings(dispatch_workers=4, pool_connections=12).pool_connections == 12


def test_a_child_gets_the_same_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = load_settings(
        engine=Engine.CLUSTER,
        postgres_dsn="postgresql://u:p@localhost/x",
        mllp_port=4711,
        data_dir=tmp_path,
        register_unknown_labs=False,
    )
    for name, value in settings.as_environment().items():
        if name.startswith("LABDISPATCH_"):
            monkeypatch.setenv(name, value)
    assert load_settings() == settings


def test_secrets_are_not_shown() -> None:
    settings = load_settings(postgres_dsn="postgresql://u:hidden@localhost/x")
    assert "hidden" not in repr(settings)


CLUSTER: dict[str, Any] = {"engine": "cluster", "postgres_dsn": "postgresql://nobody@nowhere/none"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kafka_ca": "ca.pem"}, "need kafka_protocol=ssl"),
        ({"kafka_protocol": "ssl", "kafka_cert": "cert.pem"}, "come together"),
        ({"kafka_protocol": "sasl_ssl"}, "set all three or none"),
        ({"kafka_protocol": "sasl_ssl", "kafka_sasl_user": "hub"}, "set all three or none"),
        ({"kafka_protocol": "ssl", "kafka_sasl_password_file": "p"}, "set all three or none"),
        ({"kafka_protocol": "sasl_plaintext"}, "KAFKA_PROTOCOL"),
        ({"kafka_sasl_mechanism": "GSSAPI"}, "KAFKA_SASL_MECHANISM"),
    ],
)
def test_half_of_what_brokers_want_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(FatalError, match=said):
        load_settings(**CLUSTER, **given)


def test_brokers_are_spoken_to_as_the_settings_say() -> None:
    settings = load_settings(
        **CLUSTER,
        kafka_protocol="sasl_ssl",
        kafka_ca="ca.pem",
        kafka_sasl_user="hub",
        kafka_sasl_password_file="/run/password",
    )
    assert settings.kafka_security == KafkaSecurity(
        protocol=KafkaProtocol.SASL_SSL,
        ca=Path("ca.pem"),
        user="hub",
        password_file=Path("/run/password"),
    )
    assert load_settings(**CLUSTER).kafka_security == KafkaSecurity()


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABDISPATCH_MLLP_TLS_CERT", "")
    monkeypatch.setenv("LABDISPATCH_MLLP_PORT", "")
    settings = load_settings()
    assert settings.mllp_tls_cert is None
    assert settings.mllp_port == 2575
