"""Names, addresses, secrets, signatures and answers: what is refused, what is meant."""

from __future__ import annotations

import base64
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.receivers.answers import answer_of
from ops.receivers.receiver import Kind, checked_name, checked_url
from ops.receivers.secret import made_for, shown
from ops.receivers.signing import signed_headers
from ops.receivers.words import Word, acknowledgement, words_of
from routing.pushing import Outcome, Protocol
from schemas.errors import PermanentError

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
PAGE = (Path(__file__).parents[2] / "docs" / "receivers.md").read_text()
CANARY = "PAT-TROIS"


# ---------------------------------------------------------------- names and addresses


@pytest.mark.parametrize("name", ["", "A", "1a", "a b", "a" * 41, "é", "a\n", "a/b"])
def test_a_name_is_a_label(name: str) -> None:
    with pytest.raises(PermanentError, match="bad_receiver_name"):
        checked_name(name)


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        (Kind.FHIR, "https://dossier.example.org/fhir"),
        (Kind.WEBHOOK, "https://10.1.2.3:8443/in/tenant-3"),
        (Kind.WEBHOOK, "http://127.0.0.1:9/in"),
        (Kind.WEBHOOK, "http://localhost/in"),
        (Kind.WEBHOOK, "http://[::1]:80/in"),
        (Kind.MSSANTE, "smtps://mail.example.org:465"),
        (Kind.MSSANTE, "smtp://127.0.0.1:25"),
    ],
)
def test_an_address_that_fits(kind: Kind, url: str) -> None:
    assert checked_url(kind, f"{url}/") == url


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        (Kind.WEBHOOK, "http://example.org/in"),
        (Kind.WEBHOOK, "http://127.0.0.1.example.org/"),
        (Kind.WEBHOOK, "https://user:word@example.org/"),
        (Kind.WEBHOOK, "https://169.254.169.254/latest"),
        (Kind.WEBHOOK, "https://[fe80::1%25eth0]/"),
        (Kind.WEBHOOK, "https://[::ffff:169.254.169.254]/"),
        (Kind.WEBHOOK, "https://0.0.0.0/"),
        (Kind.WEBHOOK, "https://224.0.0.1/"),
        (Kind.WEBHOOK, "file:///etc/passwd"),
        (Kind.WEBHOOK, "https://example.org/#a"),
        (Kind.WEBHOOK, "https://exa mple.org/"),
        (Kind.WEBHOOK, "https://example.org:99999/"),
        (Kind.WEBHOOK, "https:///in"),
        (Kind.WEBHOOK, f"https://example.org/{'a' * 2_000}"),
        (Kind.FHIR, "https://example.org/fhir?x=1"),
        (Kind.WEBHOOK, "https://example.org/in?code=a-secret"),
        (Kind.WEBHOOK, "https://example.org/in?"),
        (Kind.FHIR, "smtps://example.org"),
        (Kind.MSSANTE, "smtp://mail.example.org"),
    ],
)
def test_an_address_that_nobody_should_be_pushed_to(kind: Kind, url: str) -> None:
    with pytest.raises(PermanentError, match="bad_receiver_url"):
        checked_url(kind, url)


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        found = checked_url(Kind.WEBHOOK, text)
    except PermanentError:
        return
    assert found.startswith(("https://", "http://"))


# ---------------------------------------------------------------- secrets and signatures


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Kind.WEBHOOK, b"whsec_" + base64.b64encode(b"x" * 23)),
        (Kind.WEBHOOK, base64.b64encode(b"x" * 32)),
        (Kind.WEBHOOK, b"whsec_***"),
        (Kind.MSSANTE, b"nopassword"),
        (Kind.FHIR, b""),
        (Kind.FHIR, b"a\nb"),
        (Kind.FHIR, "é".encode()),
        (Kind.FHIR, b"a" * 5_000),
    ],
)
def test_a_secret_that_does_not_fit(kind: Kind, text: bytes, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(text)
    with pytest.raises(PermanentError, match="bad_secret") as caught:
        made_for(kind, tmp_path / "secret")
    assert text.decode("utf-8", "replace") not in str(caught.value) or not text


def test_a_webhooks_key_goes_there_and_back(tmp_path: Path) -> None:
    made = made_for(Kind.WEBHOOK, None)
    assert made is not None and len(made) == 32
    (tmp_path / "key").write_text(f"{shown(made)}\n")
    assert made_for(Kind.WEBHOOK, tmp_path / "key") == made
    assert made_for(Kind.FHIR, None) is None


def test_the_signature_is_that_of_the_standard() -> None:
    """The vector that the standard's own libraries are tested with."""
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    found = signed_headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', [key]
    )
    assert found == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def sample() -> Any:
    (code,) = re.findall(r"(?s)```python\n(.*?)```", PAGE)
    space: dict[str, Any] = {}
    exec(code, space)
    assert code.strip().count("\n") <= 14
    return space["is_ours"]


def test_the_sample_of_the_page_takes_ours_and_refuses_others() -> None:
    is_ours, body = sample(), b'{"body": 1}'
    new, old = b"n" * 32, b"o" * 32
    now = int(time.time())
    headers = signed_headers("event", now, body, [new, old])
    assert is_ours(headers, body, shown(new))
    assert is_ours(headers, body, shown(old)), "while keys change both sign"
    assert not is_ours(headers, body + b" ", shown(new))
    assert not is_ours(headers, body, shown(b"x" * 32))
    assert not is_ours({**headers, "webhook-id": "another"}, body, shown(new))
    stale = signed_headers("event", now - 3_600, body, [new])
    assert not is_ours(stale, body, shown(new)), "what was recorded is not played again"


# ---------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("status", "outcome", "whole"),
    [
        (200, Outcome.ACCEPTED, False), (204, Outcome.ACCEPTED, False),
        (301, Outcome.PERMANENT, False), (400, Outcome.PERMANENT, False),
        (401, Outcome.TRANSIENT, True), (404, Outcome.TRANSIENT, True),
        (409, Outcome.TRANSIENT, False), (412, Outcome.PERMANENT, False),
        (413, Outcome.PERMANENT, False), (422, Outcome.PERMANENT, False),
        (429, Outcome.TRANSIENT, True), (500, Outcome.TRANSIENT, False),
        (501, Outcome.TRANSIENT, False), (503, Outcome.TRANSIENT, True),
    ],
)  # fmt: skip
def test_what_a_status_means(status: int, outcome: Outcome, whole: bool) -> None:
    found = answer_of(status, "", "", b"", NOW)
    assert (found.outcome, found.whole, found.code) == (outcome, whole, str(status))
    assert found.protocol is Protocol.HTTP
    assert found.busy is (status in {429, 503})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120), (" 0 ", 0), ("", None), ("soon", None), ("-5", None),
        ("Fri, 27 Nov 2026 12:01:00 GMT", 60), ("Fri, 27 Nov 2026 11:00:00 GMT", 0),
        ("Fri, 27 Nov 2026 12:01:00", None), ("9" * 30, None),
    ],
)  # fmt: skip
def test_retry_after_is_a_number_or_a_date(text: str, seconds: float | None) -> None:
    assert answer_of(503, "", text, b"", NOW).retry_after_seconds == seconds


@pytest.mark.parametrize(
    ("body", "outcome", "code", "detail"),
    [
        (b"MSH|^~\\&|R\rMSA|AA|1\r", Outcome.ACCEPTED, "AA", ""),
        (b"MSH|^~\\&|R\nMSA|CA|1\n", Outcome.ACCEPTED, "CA", ""),
        (b"MSH#^~\\&#R\rMSA#AE#1\rERR###203^x^HL70357#E\r", Outcome.PERMANENT, "AE", "ERR-3 203"),
        (b"MSH|^~\\&|R\rMSA|AR|1\rERR|||PAT-TROIS\r", Outcome.TRANSIENT, "AR", ""),
        (b"MSH|^~\\&|R\rMSA|PAT-TROIS|1\r", Outcome.TRANSIENT, "no_msa", ""),
        (b"MSH", Outcome.TRANSIENT, "no_msa", ""),
    ],
)
def test_an_hl7_answer_is_read_whatever_its_status_says(
    body: bytes, outcome: Outcome, code: str, detail: str
) -> None:
    found = answer_of(200, "application/hl7-v2+er7; charset=utf-8", "", body, NOW)
    assert (found.outcome, found.code, found.detail) == (outcome, code, detail)
    assert found.protocol is Protocol.HL7
    assert answer_of(200, "text/plain", "", body, NOW) == found


@given(st.binary(max_size=300), st.integers(100, 599))
def test_no_answer_breaks_us_and_none_of_its_text_is_kept(body: bytes, status: int) -> None:
    found = answer_of(status, "application/hl7-v2+er7", "x", b"MSH|" + body, NOW)
    assert len(found.code) <= 40 and len(found.detail) <= 200
    assert re.fullmatch(r"[A-Za-z0-9_]*", found.code)


def test_of_an_operation_outcome_only_codes_of_the_standard_are_kept() -> None:
    body = b"""{"resourceType": "OperationOutcome", "issue": [
        {"severity": "error", "code": "invalid", "diagnostics": "PAT-TROIS"},
        {"severity": "error", "code": "PAT-TROIS"}, {"code": "invalid"}, {"code": "required"}]}"""
    found = answer_of(422, "application/fhir+json", "", body, NOW)
    assert found.detail == "invalid, required"
    assert CANARY not in repr(found)


# ---------------------------------------------------------------- later words


def zam(*segments: str, event: str = "ZAM^Z01^ZAM_Z01") -> bytes:
    head = f"MSH|^~\\&|DMP||||||{event}|A-1|P|2.5"
    return "\r".join([head, *segments, ""]).encode()


def test_a_business_acknowledgement_says_what_of_which_message() -> None:
    raw = zam(
        "OBX|1|CE|ACK_RECEPTION_DMP^x|C-1|Y^PAT-TROIS",
        "OBX|2|CE|LECTEUR_MSS|C-1|PAT TROIS",
        "OBX|3|CE|pat-trois|C-1|Y",
    )
    control_id, words = words_of(raw)
    assert control_id == "A-1"
    assert words == [
        Word(original="C-1", word="ACK_RECEPTION_DMP", code="Y"),
        Word(original="C-1", word="LECTEUR_MSS", code=""),
    ]


@pytest.mark.parametrize(
    ("word", "value", "kept"),
    [
        ("ACK_RECEPTION_MSS", "554", "554"), ("ACK_RECEPTION_DMP", "554", ""),
        ("ACK_LECTURE_MSS", "N", "N"), ("ACK_LECTURE_MSS", "DUPONT", ""),
        ("LECTEUR_MSS", "DUPONT", ""), ("LECTEUR_MSS", "810000023084", ""),
        ("ACK_RECEPTION_DMP", "YES", ""),
    ],
)  # fmt: skip
def test_only_codes_of_our_tables_are_kept_never_who_read(word: str, value: str, kept: str) -> None:
    _, (found,) = words_of(zam(f"OBX|1|CE|{word}|C-1|{value}"))
    assert found.code == kept


def test_a_word_that_no_table_knows_says_nothing() -> None:
    with pytest.raises(PermanentError, match="nothing_acknowledged"):
        words_of(zam("OBX|1|CE|DUPONT|C-1|Y"))


def test_a_failure_that_no_table_knows_is_one_all_the_same() -> None:
    raw = zam(
        "ERR|||DUPONT^x|E|DUPONT^x", "OBX|1|CE|ACK_RECEPTION_DMP|C-1", "OBX|2|CE|LECTEUR_MSS|C-1"
    )
    assert [word.code for word in words_of(raw)[1]] == ["other_error", ""]


def test_the_example_of_the_page_is_one() -> None:
    (example,) = re.findall(r"(?s)```\n(MSH.*?)```", PAGE)
    assert words_of(example.encode())[1] == [
        Word(original="LABX-20260306-000123", word="ACK_RECEPTION_DMP", code="Y")
    ]


def test_a_failure_is_told_by_its_code() -> None:
    raw = zam(
        "ERR|||207^Application internal error|E|DMPClosed^DMP fermé^DMPERRORCODE",
        "OBX|1|CE|ACK_RECEPTION_DMP|C-1",
        event="ZAM^Z02^ZAM_Z01",
    )
    _, (word,) = words_of(raw)
    assert word.code == "DMPClosed"


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"hello", zam("OBX|1|CE|ACK_RECEPTION_DMP|C-1|Y", event="ORU^R01"), zam(),
        zam("OBX|1|CE|ACK_RECEPTION_DMP||Y"),
        zam(*(f"OBX|{n}|CE|ACK_RECEPTION_DMP|C-{n}|Y" for n in range(51))),
    ],
)  # fmt: skip
def test_what_is_no_such_acknowledgement_is_refused(raw: bytes) -> None:
    with pytest.raises(PermanentError):
        words_of(raw)


def test_its_answer_repeats_nothing_but_a_control_id() -> None:
    assert acknowledgement("A-1", "AA").split(b"\r")[1] == b"MSA|AA|A-1"
    assert acknowledgement("A|1\rX", "AE", "no_such_original").split(b"\r")[1] == b"MSA|AE|"
