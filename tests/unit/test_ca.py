"""The development authority: what it issues is taken by TLS, and never in realm production."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ops.ca import DevelopmentCa
from ops.cli import main
from ops.runtime.certificates import read_certificate
from schemas.decision import Realm
from schemas.errors import PermanentError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "ca"


@pytest.fixture
def authority(folder: Path) -> DevelopmentCa:
    made = DevelopmentCa(folder, Realm.TEST)
    made.init()
    return made


def shake_hands(folder: Path, client: str, *, host: str = "hub.test", crl: bool = False) -> Any:
    """Let two sides talk TLS in memory; return what the server sees of the client."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.pem", folder / "server.key")
    server.load_verify_locations(folder / "ca.pem")
    server.verify_mode = ssl.CERT_REQUIRED
    if crl:
        server.load_verify_locations(folder / "crl.pem")
        server.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    theirs = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    theirs.load_cert_chain(folder / f"{client}.pem", folder / f"{client}.key")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        theirs.wrap_bio(to_client, to_server, server_hostname=host),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    left = list(sides)
    for _ in range(10):
        for side in list(left):
            try:
                side.do_handshake()
                left.remove(side)
            except ssl.SSLWantReadError:
                continue
    assert not left
    return sides[1].getpeercert(binary_form=True)


def test_a_server_and_a_client_know_each_other(authority: DevelopmentCa, folder: Path) -> None:
    authority.issue_server(("hub.test", "127.0.0.1"))
    issued = authority.issue_client("990010001")
    seen = read_certificate(shake_hands(folder, "client-990010001"))
    assert (seen.fingerprint.hex(), seen.subject) == (issued.fingerprint, issued.subject)
    assert seen.subject == "CN=990010001,O=labdispatch development CA"
    assert seen.not_before < seen.not_after == issued.not_after
    assert read_certificate(Path(issued.certificate).read_bytes()) == seen
    shake_hands(folder, "client-990010001", host="127.0.0.1")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(folder, "client-990010001", host="other.test")


def test_a_revoked_certificate_is_on_the_list(authority: DevelopmentCa, folder: Path) -> None:
    authority.issue_server(("hub.test",))
    one, two = authority.issue_client("one"), authority.issue_client("two")
    shake_hands(folder, "client-one", crl=True)
    assert authority.revoke(Path(one.certificate).read_bytes()) == 1
    assert authority.revoke(Path(one.certificate).read_bytes()) == 1
    shake_hands(folder, "client-two", crl=True)
    with pytest.raises(ssl.SSLError):
        shake_hands(folder, "client-one", crl=True)
    assert authority.revoke(Path(two.certificate).read_bytes()) == 2
    other = DevelopmentCa(folder.parent / "other", Realm.TEST)
    foreign = Path(other.init().certificate).read_bytes()
    with pytest.raises(PermanentError, match="not_issued_here"):
        authority.revoke(foreign)


def test_files_are_their_owners_alone_and_never_overwritten(
    authority: DevelopmentCa, folder: Path
) -> None:
    authority.issue_server(("hub.test",))
    authority.issue_client("a/../b")
    assert {path.name for path in folder.iterdir()} == {
        "ca.pem", "ca.key", "crl.pem", "server.pem", "server.key", "client-a_b.pem",
        "client-a_b.key",
    }  # fmt: skip
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    with pytest.raises(PermanentError, match="ca_exists"):
        authority.init()


@pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\nx", b"x" * 70_000])
def test_what_is_no_certificate_is_told(content: bytes) -> None:
    with pytest.raises(PermanentError, match="no_certificate"):
        read_certificate(content)


def test_what_cannot_be_issued_is_told(folder: Path) -> None:
    authority = DevelopmentCa(folder, Realm.TEST)
    with pytest.raises(PermanentError, match="no_ca"):
        authority.issue_client("x")
    authority.init()
    for name in ("", "x" * 65, "a\nb"):
        with pytest.raises(PermanentError, match="bad_name"):
            authority.issue_client(name)
    with pytest.raises(PermanentError, match="bad_name"):
        authority.issue_server(("hôte.test",))


def test_the_commands_say_what_they_made_and_refuse_production(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = CliRunner()

    def run(*arguments: str) -> Any:
        return runner.invoke(main, ["ca", *arguments, "--folder", str(folder), "--json"])

    assert run("init").exit_code == 0
    assert run("server", "127.0.0.1").exit_code == 0
    made = json.loads(run("client", "LAB1", "--days", "3").stdout)
    assert json.loads(run("revoke", made["certificate"]).stdout)["revoked"] == 1
    monkeypatch.setenv("LABDISPATCH_REALM", "production")
    refused = run("client", "LAB2")
    assert refused.exit_code == 1
    assert "development_only" in refused.output
