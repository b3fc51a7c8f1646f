"""Sends letters by secure mail (MSSanté): to the patient's own box, or to who ordered.

Each is signed (S/MIME); to a professional whose certificate is in the folder it is encrypted too,
and where that folder is given nothing goes to anybody without one. It is at least once: a letter
that is sent again has the same Message-ID.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from routing.letter import Letter, To, letter_of, withdrawal_after
from routing.pushing import Answer, Outcome, Protocol
from schemas.errors import PermanentError, pure_step

from .receiver import ADDRESS, Receiver, check_domain
from .secret import held
from .sender import Delivery
from .senders import SenderParts, tls_of
from .smime import Signer, certificate_of, encrypted
from .smtp import Post, hand_in

_MATRICULE: Final = re.compile(r"[0-9AB]{15}")
_RPPS: Final = re.compile(r"\d{11}")
_MAX_DIRECTORY_BYTES: Final = 64 * 1024 * 1024
_PORTS: Final = {"smtps": 465, "smtp": 25}


class MailSender:
    """One receiver's post."""

    wants_earlier = True
    keeps_every_word = True

    def __init__(self, receiver: Receiver, parts: SenderParts) -> None:
        options = receiver.options
        url = urlsplit(receiver.url)
        self._realm = parts.realm
        check_domain(options.domain, parts.realm)
        secret = held(parts.vault, receiver.receiver_id, receiver.secret_version)
        user, _, password = (secret or b"").decode().partition(":")
        self._sender = options.sender
        self._domain = options.domain
        self._to = To(options.to)
        self._signer = Signer(Path(options.sign_cert), Path(options.sign_key or options.sign_cert))
        self._certs = Path(options.recipient_certs) if options.recipient_certs else None
        self._directory = read_directory(options.directory) if options.directory else {}
        self._clock = parts.clock
        self._post = Post(
            host=url.hostname or "",
            port=url.port or _PORTS[url.scheme],
            tls=tls_of(options) if url.scheme == "smtps" else None,
            user=user,
            password=password,
            hello=options.sender.rpartition("@")[2],
        )

    async def close(self) -> None:
        """Each letter has a connection of its own."""

    def puts(self, delivery: Delivery) -> Mapping[str, int]:  # noqa: ARG002 - the port's
        """Return nothing: of a letter nothing can be taken back."""
        return {}

    async def send(self, delivery: Delivery) -> Answer:
        """Send the letter about an event, if there is one to send.

        Raises:
            PermanentError: There is nowhere to send it to, or no certificate.
        """
        with pure_step():
            letter = self._letter(delivery)
        if isinstance(letter, str):
            return Answer(outcome=Outcome.ACCEPTED, protocol=Protocol.HUB, code=letter)
        recipient = self._recipient(letter)
        content = self._packed(delivery, letter, recipient)
        return await hand_in(self._post, self._sender, recipient, content)

    def _letter(self, delivery: Delivery) -> Letter | str:
        """Return the letter; what takes something back goes only to who had something."""
        body = delivery.event.body
        letter = "withdrawn" if body is None else letter_of(msgspec.json.decode(body), self._to)
        before = self._before(delivery)
        if isinstance(letter, Letter) and not letter.is_withdrawal:
            return letter
        if before is None:
            return "nothing_was_sent" if isinstance(letter, Letter) else letter
        # Not final any more, not asked for any more, withdrawn: what was sent is taken back.
        return withdrawal_after(before)

    def _before(self, delivery: Delivery) -> Letter | None:
        """Return the letter that the newest version before this one led to, if it led to one."""
        earlier = next(iter(delivery.earlier), None)
        if earlier is None or earlier.body is None:
            return None
        letter = letter_of(msgspec.json.decode(earlier.body), self._to)
        return None if isinstance(letter, str) or letter.is_withdrawal else letter

    def _recipient(self, letter: Letter) -> str:
        if self._to is To.PATIENT:
            if not _MATRICULE.fullmatch(letter.matricule):
                raise _no_address("the Bundle has no INS of 15 characters")
            return f"{letter.matricule}@patient.{self._domain}"
        address = self._directory.get(letter.rpps, "")
        if not address:
            raise _no_address("the directory has no address of who ordered")
        check_domain(address.rpartition("@")[2], self._realm)
        return address

    def _packed(self, delivery: Delivery, letter: Letter, recipient: str) -> bytes:
        event = delivery.event
        inner = EmailMessage(policy=SMTP)
        inner.set_content(letter.text, cte="base64")
        if event.body is not None and not letter.is_withdrawal:
            inner.add_attachment(
                bytes(event.body), maintype="application", subtype="fhir+json",
                filename="resultat.json", cte="base64",
            )  # fmt: skip
        del inner["MIME-Version"]  # it stands outside
        entity = self._signer.signed(bytes(inner))
        if self._to is To.PROFESSIONAL and self._certs is not None:
            certificate = certificate_of(self._certs, recipient)
            if certificate is None:
                raise PermanentError("no_certificate", "put ADDRESS.pem into --recipient-certs")
            entity = encrypted(_crlf(entity), certificate)
        return self._headed(event.event_id.hex, letter, recipient, event.emitted_at) + _crlf(entity)

    def _headed(self, name: str, letter: Letter, recipient: str, at: datetime) -> bytes:
        head = EmailMessage(policy=SMTP)
        head["From"], head["To"] = self._sender, recipient
        head["Subject"] = letter.subject
        head["Date"] = format_datetime(at.astimezone(UTC))
        head["Message-ID"] = f"<{name}@{self._post.hello}>"
        if self._to is To.PATIENT:
            head["X-MSS-MES"] = "FIN"  # a patient cannot answer a machine
        return bytes(head).rstrip(b"\r\n") + b"\r\n"


def read_directory(path: str) -> dict[str, str]:
    """Return RPPS -> address of a file with RPPS;ADDRESS a line; others are passed over.

    Raises:
        PermanentError: `bad_directory`: it is not there, too large, or has no such line.
    """
    file = Path(path)
    try:
        if file.stat().st_size > _MAX_DIRECTORY_BYTES:
            raise _bad_directory(f"it has more than {_MAX_DIRECTORY_BYTES} bytes")
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise _bad_directory("it cannot be read as UTF-8") from None
    found = {}
    for line in lines:
        rpps, _, address = (part.strip() for part in line.partition(";"))
        if _RPPS.fullmatch(rpps) and ADDRESS.fullmatch(address):
            found[rpps] = address
    if not found:
        raise _bad_directory("it has no line RPPS;ADDRESS")
    return found


def _crlf(entity: bytes) -> bytes:
    return entity.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _no_address(remedy: str) -> PermanentError:
    return PermanentError("no_address", remedy)


def _bad_directory(remedy: str) -> PermanentError:
    return PermanentError("bad_directory", remedy)
