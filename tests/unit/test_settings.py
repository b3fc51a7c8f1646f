from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ops.cli import main
from ops.runtime.kafka_security import KafkaProtocol, KafkaSecurity
from ops.runtime.settings import Engine, Settings, load_settings
from ops.settings_checking import READ_FILES, SECRET_FILES, SECRETS
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


def test_everything_that_is_wrong_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABDISPATCH_MLLP_PROT", "2575")
    monkeypatch.setenv("LABDISPATCH_HTTP_PORT", "secret-looking")
    monkeypatch.setenv("LABDISPATCH_PUSH_FAILURES", "0")
    monkeypatch.setenv("LABDISPATCH_ENGINE", "cluster")
    monkeypatch.setenv("LABDISPATCH_MLLP_HOST", "0.0.0.0")
    with pytest.raises(FatalError) as caught:
        load_settings()
    said = str(caught.value)
    for each in ("MLLP_PROT", "HTTP_PORT", "PUSH_FAILURES", "needs postgres_dsn", "beyond loopback",
                 "realm test listens"):  # fmt: skip
        assert each in said, each
    assert "secret-looking" not in said


def test_what_follows_from_a_wrong_setting_is_not_said() -> None:
    """It stands at its default meanwhile, and the others must not be blamed for that."""
    with pytest.raises(FatalError) as caught:
        load_settings(pool_connections=1, dispatch_workers=9)
    assert "POOL_CONNECTIONS" in str(caught.value)
    assert "two each" not in str(caught.value)


PRODUCTION: dict[str, Any] = {**CLUSTER, "realm": "production"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({**PRODUCTION, "failpoints": "dispatch.after_commit=kill"}, "failpoints end processes"),
        ({**PRODUCTION, "min_insync_replicas": 1}, "min_insync_replicas is to be 2 or more"),
        ({**CLUSTER, "replication_factor": 1}, "nothing could be written"),
        ({"trusted_proxies": "0.0.0.0/0"}, "names everybody"),
        ({"trusted_proxies": "10.0.0.0/8,::/0"}, "names everybody"),
        ({"trusted_proxies": "proxy"}, "takes networks"),
        ({**CLUSTER, "postgres_dsn_file": "/run/dsn"}, "say the same"),
        (
            {**CLUSTER, "postgres_dsn": "postgresql://u:p@db.example.org/x?sslmode=disable"},
            "in clear text",
        ),
    ],
)
def test_what_is_dangerous_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(FatalError, match=said) as caught:
        load_settings(**given)
    assert "u:p@" not in str(caught.value)


def test_a_database_on_this_machine_may_be_spoken_to_in_clear_text() -> None:
    for address in ("postgresql://u@127.0.0.1/x?sslmode=disable",
                    "postgresql://u@/x?host=/run/postgresql&sslmode=disable"):  # fmt: skip
        load_settings(engine="cluster", postgres_dsn=address)


def test_the_address_of_the_database_comes_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "dsn"
    path.write_text("postgresql://u:hidden@localhost/x\n")
    path.chmod(0o600)
    settings = load_settings(engine="cluster", postgres_dsn_file=path)
    assert settings.database_address == "postgresql://u:hidden@localhost/x"
    assert "hidden" not in repr(settings)
    assert "hidden" not in str(settings.as_environment())


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (b"postgresql://hidden", 0o640, "others may not read"),
        (b"", 0o600, "of one line"),
        (b"hidden\nmore", 0o600, "of one line"),
        (b"h" * 5_000, 0o600, "of one line"),
        (b"hidden\xff", 0o600, "of text"),
        (None, 0o600, "can read"),
    ],
)
def test_a_file_that_is_no_secret_is_refused(
    tmp_path: Path, content: bytes | None, mode: int, said: str
) -> None:
    path = tmp_path / "dsn"
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    settings = load_settings(engine="cluster", postgres_dsn_file=path)
    with pytest.raises(FatalError, match=said) as caught:
        _ = settings.database_address
    assert "hidden" not in str(caught.value)


def test_every_setting_is_described_and_every_number_has_a_bound() -> None:
    schema = Settings.model_json_schema(mode="validation")
    for name, field in schema["properties"].items():
        assert len(field["description"].split()) > 1, name
        for kind in (field, *field.get("anyOf", ())):
            if kind.get("type") in {"integer", "number"}:
                assert {"minimum", "exclusiveMinimum"} & kind.keys(), name


def test_every_secret_comes_from_a_file_too() -> None:
    """A path that others may not read, or a secret that a path may stand for."""
    fields = Settings.model_fields
    for name, field in fields.items():
        if "SecretStr" in str(field.annotation):
            assert name in SECRETS
            assert f"{name}_file" in SECRET_FILES
        if re.search(r"password|secret|_key$", name) and "Path" in str(field.annotation):
            assert name in SECRET_FILES, name
    assert fields.keys() >= SECRET_FILES | READ_FILES | SECRETS


def test_the_command_says_what_counts_and_no_secret(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LABDISPATCH_ENGINE", "cluster")
    monkeypatch.setenv("LABDISPATCH_POSTGRES_DSN", "postgresql://u:hidden@localhost/x")
    monkeypatch.setenv("LABDISPATCH_DATA_DIR", str(tmp_path))
    shown = CliRunner().invoke(main, ["settings", "show"])
    assert shown.output.splitlines() == [
        f"LABDISPATCH_DATA_DIR={tmp_path}",
        "LABDISPATCH_ENGINE=cluster",
        "LABDISPATCH_POSTGRES_DSN=(set)",
    ]
    every = CliRunner().invoke(main, ["settings", "show", "--all"])
    assert len(every.output.splitlines()) == len(Settings.model_fields)
    assert "LABDISPATCH_MLLP_PORT=2575  (default)" in every.output


def test_the_command_checks_the_files_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    key = tmp_path / "door.key"
    key.write_text("x")
    key.chmod(0o644)
    for name, value in {
        "DATA_DIR": str(tmp_path / "hub"),
        "MLLP_TLS_CERT": str(tmp_path / "none.pem"),
        "MLLP_TLS_KEY": str(key),
        "MLLP_TLS_CLIENT_CA": str(key),
        "DISCLOSURE_THRESHOLD": "0",
    }.items():
        monkeypatch.setenv(f"LABDISPATCH_{name}", value)
    checked = CliRunner().invoke(main, ["settings", "check"])
    assert checked.exit_code == 2
    assert checked.output.splitlines() == [
        "wrong: mllp_tls_cert: no file that this user can read",
        "wrong: mllp_tls_key: others can read it: chmod 600",
        "weak: disclosure_threshold=0: counts of one person are published",
    ]
    key.chmod(0o600)
    (tmp_path / "none.pem").write_text("x")
    checked = CliRunner().invoke(main, ["settings", "check", "--json"])
    assert (checked.exit_code, json.loads(checked.output)["wrong"]) == (0, [])
