"""Letters by secure mail: signed, encrypted where they can be, answers tracked, taken back."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import NameOID

from ops.bootstrap import Hub
from ops.receivers import commands
from ops.receivers.receiver import Kind, Options
from schemas.errors import PermanentError
from schemas.events import EventKind
from schemas.report import Coded
from schemas.topics import Stream
from tests.support.certificates import Authority
from tests.support.hub import Road, scratch_hub
from tests.support.mailbox import PASSWORD, USER, Mailbox
from tests.support.people import message, observation, report
from tests.support.postgres import Database
from tests.support.receiving import ASKER, added, deliveries, emit, event, serving, until_states
from tests.unit.test_letter import MATRICULE, bundle

DOMAIN = "mss.example.org"
PATIENT = f"{MATRICULE}@patient.{DOMAIN}"
DOCTOR = f"medecin@{DOMAIN}"


@pytest.fixture
async def hub(database: Database, tmp_path: Path) -> AsyncIterator[Hub]:
    async with scratch_hub(database, tmp_path) as made:
        yield made


@pytest.fixture
async def box() -> AsyncIterator[Mailbox]:
    made = Mailbox()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("mss"))


def letter_event(
    number: int, version: int = 1, *tags: str, kind: EventKind = EventKind.PUBLISHED, **parts: Any
) -> Any:
    body = bundle(*(tags or ("DESTMSSANTEPAT",)), **parts)
    return event(number, version, stream=Stream.DOSSIER, kind=kind, body=body)


async def add_mail(hub: Hub, authority: Authority, url: str, **changed: Any) -> None:
    ours = authority.issue("hub")
    parts: dict[str, Any] = {
        "sender": f"labdispatch@{DOMAIN}",
        "to": "patient",
        "domain": DOMAIN,
        "sign_cert": str(ours.cert),
        "sign_key": str(ours.key),
    }
    await added(
        hub, "mail", url, kind=Kind.MSSANTE, stream=Stream.DOSSIER,
        options=Options(**{**parts, **changed}), given=f"{USER}:{PASSWORD}".encode(),
    )  # fmt: skip


def verified(content: bytes, authority: Authority, folder: Path) -> bytes:
    """What openssl, nobody of ours, says was signed."""
    openssl = shutil.which("openssl")
    assert openssl is not None, "openssl is needed: install it (it verifies S/MIME)"
    (folder / "letter.eml").write_bytes(content)
    done = subprocess.run(
        [openssl, "cms", "-verify", "-in", str(folder / "letter.eml"), "-CAfile",
         str(authority.ca), "-purpose", "any"],
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def contents(message: EmailMessage, kind: str) -> list[Any]:
    return [p.get_content() for p in message.walk() if p.get_content_type() == kind]


async def test_a_patient_gets_a_signed_letter_and_nobody_gets_one_unasked(
    hub: Hub, database: Database, box: Mailbox, authority: Authority, tmp_path: Path
) -> None:
    await add_mail(hub, authority, f"smtp://127.0.0.1:{box.port}")
    sent = letter_event(1)
    await emit(
        hub,
        [sent, letter_event(2, 1, "DESTMSSANTEPAT", "INVISIBLE_PATIENT"),
         letter_event(3, 1, "DESTMSSANTEPS"), letter_event(4, status="preliminary")],
    )  # fmt: skip
    async with serving(hub, database.connect_kwargs):
        await until_states(hub, "mail", lambda f: list(f.values()) == ["accepted"] * 4)
    told = [(row["protocol"], row["code"]) for row in await deliveries(hub, "mail")]
    assert told == [
        ("smtp", "250"), ("hub", "invisible_patient"), ("hub", "not_asked"), ("hub", "not_final")
    ]  # fmt: skip
    ((recipient, content),) = box.letters
    assert recipient == PATIENT
    signed = verified(content, authority, tmp_path)
    assert "Non détecté" not in content.decode("ascii")  # 7 bits on the wire
    (message,) = box.messages()
    assert message["Subject"] == "Résultat de laboratoire"
    assert message["Message-ID"] == f"<{sent.event_id.hex}@{DOMAIN}>"
    assert message["X-MSS-MES"] == "FIN"
    assert "ARN SARS-CoV-2 : Non détecté" in contents(message, "text/plain")[0]
    assert contents(message, "application/fhir+json") == [sent.body]
    assert b"application/fhir+json" in signed


async def test_what_was_sent_is_taken_back_and_what_was_not_is_not(
    hub: Hub, database: Database, box: Mailbox, authority: Authority
) -> None:
    await add_mail(hub, authority, f"smtp://127.0.0.1:{box.port}")
    await emit(hub, [letter_event(1), letter_event(2, 1, "DESTMSSANTEPS")])
    async with serving(hub, database.connect_kwargs):
        await until_states(hub, "mail", lambda f: list(f.values()) == ["accepted"] * 2)
        gone = EventKind.WITHDRAWN
        await emit(hub, [letter_event(1, 2, kind=gone), letter_event(2, 2, kind=gone)])
        await until_states(hub, "mail", lambda f: list(f.values()) == ["accepted"] * 4)
        # Taken back once: the next version that nobody asked a letter of takes nothing back.
        await emit(hub, [letter_event(1, 3, "DESTMSSANTEPS")])
        await until_states(hub, "mail", lambda f: list(f.values()) == ["accepted"] * 5)
    assert [(to, m["Subject"]) for (to, _), m in zip(box.letters, box.messages(), strict=True)] == [
        (PATIENT, "Résultat de laboratoire"),
        (PATIENT, "Résultat de laboratoire retiré"),
    ]
    assert "SARS" not in contents(box.messages()[1], "text/plain")[0]


async def test_a_withdrawal_is_sent_though_a_newer_version_waits(
    hub: Hub, database: Database, box: Mailbox, authority: Authority
) -> None:
    """Another person's now: who had the letter hears that it was not theirs."""
    await add_mail(hub, authority, f"smtp://127.0.0.1:{box.port}")
    await emit(hub, [letter_event(1)])
    async with serving(hub, database.connect_kwargs):
        await until_states(hub, "mail", lambda f: list(f.values()) == ["accepted"])
    await emit(hub, [letter_event(1, 2, kind=EventKind.WITHDRAWN), letter_event(1, 3)])
    async with serving(hub, database.connect_kwargs):
        await until_states(hub, "mail", lambda f: list(f.values()) == ["accepted"] * 3)
    assert [m["Subject"].endswith("retiré") for m in box.messages()] == [False, True, False]


async def test_the_servers_codes_decide(
    hub: Hub, database: Database, box: Mailbox, authority: Authority
) -> None:
    answers = {"RCPT": ["550 no such box", "450 full", "450 full", ""], "DATA": []}
    box.refuse = lambda command, _: answers[command].pop(0) if answers.get(command) else ""
    await add_mail(hub, authority, f"smtp://127.0.0.1:{box.port}")
    async with serving(hub, database.connect_kwargs, push_failures=5):
        await emit(hub, [letter_event(1)])
        await until_states(hub, "mail", lambda f: list(f.values()) == ["dead"])
        await emit(hub, [letter_event(2)])
        await until_states(hub, "mail", lambda f: list(f.values()) == ["dead", "accepted"])
        rows = await deliveries(hub, "mail")
        assert [(r["protocol"], r["code"], r["attempts"]) for r in rows] == [
            ("smtp", "550", 1), ("smtp", "250", 3)
        ]  # fmt: skip
        box.refuse = lambda command, _: "550 not you" if command == "MAIL" else ""
        await emit(hub, [letter_event(3)])
        async with asyncio.timeout(60):
            while len(rows := await deliveries(hub, "mail")) < 3 or rows[2]["attempts"] < 7:
                await asyncio.sleep(0.02)
        assert rows[2]["failures"] == 0, "it is us that is refused"
        box.refuse = lambda *_: ""
        await until_states(hub, "mail", lambda f: f[3, 1] == "accepted")


async def test_a_professional_gets_it_encrypted_over_tls_or_not_at_all(
    hub: Hub, database: Database, authority: Authority, tmp_path: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.server.cert, authority.server.key)
    box = Mailbox()
    await box.start(context)
    key, certificate = rsa_certificate()
    certs = tmp_path / "certs"
    certs.mkdir()
    directory = tmp_path / "addresses.csv"
    directory.write_text(f"rpps;address\n10000023084;{DOCTOR}\n")
    await add_mail(
        hub, authority, f"smtps://localhost:{box.port}", ca=str(authority.ca), to="professional",
        recipient_certs=str(certs), directory=str(directory),
    )  # fmt: skip
    try:
        async with serving(hub, database.connect_kwargs):
            await emit(hub, [letter_event(1, 1, "DESTMSSANTEPS")])
            await until_states(hub, "mail", lambda f: list(f.values()) == ["dead"])
            assert box.said == []
            (certs / f"{DOCTOR}.pem").write_bytes(
                certificate.public_bytes(serialization.Encoding.PEM)
            )
            await emit(hub, [letter_event(2, 1, "DESTMSSANTEPS")])
            await until_states(hub, "mail", lambda f: list(f.values()) == ["dead", "accepted"])
    finally:
        await box.stop()
    assert (await deliveries(hub, "mail"))[0]["code"] == "no_certificate"
    ((recipient, content),) = box.letters
    assert recipient == DOCTOR
    inner = pkcs7.pkcs7_decrypt_smime(content, certificate, key, [])
    assert b"application/fhir+json" in verified(inner, authority, tmp_path)


async def test_a_test_hub_writes_to_nobody_real(
    hub: Hub, database: Database, box: Mailbox, authority: Authority
) -> None:
    await add_mail(hub, authority, f"smtp://127.0.0.1:{box.port}", domain="mssante.fr")
    await emit(hub, [letter_event(1)])
    async with serving(hub, database.connect_kwargs):
        async with asyncio.timeout(60):
            while not (trouble := await trouble_of(hub)):
                await asyncio.sleep(0.02)
    assert (trouble, box.said) == ("domain_of_production", [])


async def test_a_mail_receiver_that_lacks_something_is_refused(
    hub: Hub, authority: Authority
) -> None:
    for changed in (
        {"sender": "hub"}, {"sender": f"a b@{DOMAIN}"}, {"sign_cert": ""}, {"to": ""},
        {"to": "professional"}, {"domain": "x\r\ny"},
    ):  # fmt: skip
        with pytest.raises(PermanentError, match="bad_mail_options"):
            await add_mail(hub, authority, "smtp://127.0.0.1:25", **changed)


async def trouble_of(hub: Hub) -> str:
    async with hub.pool.acquire() as connection:
        found: str = await connection.fetchval("SELECT trouble FROM receiver")
    return found


def rsa_certificate() -> tuple[rsa.RSAPrivateKey, x509.Certificate]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, DOCTOR)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return key, certificate


async def test_from_the_command_and_a_laboratorys_message_to_the_patients_box(
    hub: Hub,
    database: Database,
    box: Mailbox,
    authority: Authority,
    tmp_path: Path,
) -> None:
    """What the laboratory asks for in MetaDMPMSS is what the letter hears of."""

    @asynccontextmanager
    async def instance_at(_: Path, **__: Any) -> AsyncIterator[Hub]:
        yield hub

    (tmp_path / "secret").write_text(f"{USER}:{PASSWORD}\n")
    ours = authority.issue("hub")
    options = Options(
        sender=f"labdispatch@{DOMAIN}", to="patient", domain=DOMAIN, sign_cert=str(ours.cert),
        sign_key=str(ours.key),
    )  # fmt: skip
    url = f"smtp://127.0.0.1:{box.port}"
    wish = commands.wish_of("mail", "mssante", "dossier", url, options, from_start=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(commands, "instance_at", instance_at)
        await commands.add(tmp_path, wish, tmp_path / "secret", ASKER, as_json=True)
    road = Road(hub)
    await road.put(asking("F-1", "DESTMSSANTEPAT"))
    await road.put(asking("F-2", "DESTMSSANTEPAT", "INVISIBLE_PATIENT"))
    await road.put(asking("F-3"))
    await road.dispatch()
    async with serving(hub, database.connect_kwargs):
        await until_states(hub, "mail", lambda f: list(f.values()) == ["accepted"] * 3)
    told = sorted(row["code"] for row in await deliveries(hub, "mail"))
    assert told == ["250", "invisible_patient", "not_asked"]
    assert len(box.letters) == 1


def asking(order: str, *codes: str) -> Any:
    """A message that asks so of the national services."""
    asked = [
        observation(
            position=place,
            code=Coded(code=code, text=code, system="MetaDMPMSS"),
            value_type="CE",
            value="Y",
            coded=Coded(code="Y", text="", system="expandedYes-NoIndicator"),
        )
        for place, code in enumerate(codes, 2)
    ]
    return message(None, report(filler_order_number=order, observations=(observation(), *asked)))
