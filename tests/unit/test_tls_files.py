"""TLS files: what does not fit is refused by the name of its setting, at the start."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from ops.runtime.handshake import refusal_of
from ops.runtime.metrics import METRICS
from ops.runtime.settings import load_settings
from ops.runtime.tls import TlsFiles, TlsMaterial
from ops.tls_doors import material_of
from schemas.errors import FatalError
from tests.support.certificates import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def _wrong(case: str, authority: Authority, folder: Path) -> TlsFiles:
    files = authority.files
    other = Authority(folder / "other", "Other CA")
    text = folder / "text"
    text.write_text("not PEM")
    return {
        "missing": replace(files, cert=folder / "nowhere"),
        "key": replace(files, key=other.server.key),
        "text": replace(files, cert=text),
        "ca": replace(files, client_ca=text),
        "crl": replace(files, crl=text),
        "foreign crl": replace(files, crl=other.crl),
        "no ca": replace(files, client_ca=None, crl=None),
    }[case]


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("missing", "LABDISPATCH_MLLP_TLS_CERT names a file"),
        ("key", "LABDISPATCH_MLLP_TLS_CERT certificate and key do not fit"),
        ("text", "LABDISPATCH_MLLP_TLS_CERT certificate and key"),
        ("ca", "LABDISPATCH_MLLP_TLS_CLIENT_CA is not a file of PEM"),
        ("crl", "LABDISPATCH_MLLP_TLS_CRL is not a file of PEM"),
        ("foreign crl", "LABDISPATCH_MLLP_TLS_CRL holds a list that none of client_ca has signed"),
        ("no ca", "LABDISPATCH_MLLP_TLS_CLIENT_CA is needed"),
    ],
)
def test_files_that_do_not_fit_are_refused(
    authority: Authority, tmp_path: Path, case: str, said: str
) -> None:
    with pytest.raises(FatalError, match=said):
        TlsMaterial(_wrong(case, authority, tmp_path), door="mllp", demand="required")


def test_a_certificate_holds_between_its_dates_and_off_the_list(tmp_path: Path) -> None:
    own = Authority(tmp_path)
    issued = own.issue("LAB01", ends=timedelta(hours=1))
    material = TlsMaterial(own.files, door="mllp", demand="required")
    now = datetime.now(UTC)
    assert material.why_invalid(issued.peer, now) is None
    assert material.why_invalid(issued.peer, now + timedelta(hours=2)) == "certificate_expired"
    early = now - timedelta(days=2)
    assert material.why_invalid(issued.peer, early) == "certificate_not_yet_valid"
    own.revoke(issued)
    assert material.why_invalid(issued.peer, now) is None  # not read again yet
    assert material.refresh()
    assert material.why_invalid(issued.peer, now) == "certificate_revoked"


def test_the_settings_make_the_material(authority: Authority) -> None:
    files = authority.files
    given = {"mllp_tls_cert": files.cert, "mllp_tls_key": files.key}
    assert material_of(load_settings(), "mllp") is None
    settings = load_settings(**given, mllp_tls_client_ca=files.client_ca, mllp_tls_crl=files.crl)
    assert material_of(settings, "mllp") is not None
    assert material_of(settings, "http") is None


def test_an_unheard_of_error_has_a_reason_too() -> None:
    assert refusal_of(RuntimeError()) == "other"
    assert refusal_of(ConnectionResetError()) == "reset"
    assert refusal_of(ConnectionAbortedError()) == "timeout"


def test_when_our_own_certificate_ends_is_told(tmp_path: Path) -> None:
    own = Authority(tmp_path)
    TlsMaterial(own.files, door="http", demand="required")
    told = METRICS.tls_certificate_ends.labels("http")._value.get()
    assert told == own.server.peer.not_after.timestamp()
