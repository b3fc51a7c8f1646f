"""A receiver that is pushed to: what it is, and what it may be called and reached by; pure."""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

import msgspec

from ops.runtime.settings import is_loopback
from schemas.decision import Realm
from schemas.errors import PermanentError
from schemas.topics import Stream

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,39}")
_MAX_URL: Final = 2_000


ADDRESS: Final = re.compile(r"[A-Za-z0-9._+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,20}")
"""Of a mailbox, as narrow as SMTP commands and file names need it."""


PRODUCTION_DOMAIN: Final = "mssante.fr"


class Kind(StrEnum):
    """How a receiver is spoken to."""

    FHIR = "fhir"
    WEBHOOK = "webhook"
    MSSANTE = "mssante"


SCHEMES: Final = {
    Kind.FHIR: ("https", "http"),
    Kind.WEBHOOK: ("https", "http"),
    Kind.MSSANTE: ("smtps", "smtp"),
}
"""The safe scheme of a kind, and the one that only this machine may be reached by."""
STREAMS_OF: Final = {
    Kind.FHIR: frozenset({Stream.DOSSIER}),
    Kind.WEBHOOK: frozenset(Stream),
    Kind.MSSANTE: frozenset({Stream.DOSSIER}),
}
"""What a kind can carry: a transaction and a letter are made of a Bundle."""


class Options(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a receiver has besides; paths are those of the machine that pushes."""

    ca: str = ""
    """Authority of the receiver's certificate; empty: those of the system."""
    client_cert: str = ""
    client_key: str = ""
    """Empty: it stands in the file of the certificate."""
    purpose: str = ""
    """webhook of public-health: ids and pseudonyms of a purpose of its own."""
    sender: str = ""
    """mssante: the address that letters come from."""
    to: str = ""
    """mssante: patient or professional."""
    sign_cert: str = ""
    """mssante: our certificate for S/MIME; its key stands in the file too, or in sign_key."""
    sign_key: str = ""
    recipient_certs: str = ""
    """mssante: folder of professionals' certificates, ADDRESS.pem each."""
    directory: str = ""
    """mssante: file of professionals' addresses, RPPS;ADDRESS a line."""
    domain: str = PRODUCTION_DOMAIN
    """mssante: the space of trust; patients' boxes are at patient.DOMAIN."""


class Receiver(msgspec.Struct, frozen=True, kw_only=True):
    """A receiver as it stands in the database."""

    receiver_id: int
    name: str
    kind: Kind
    stream: Stream
    url: str
    options: Options
    secret_version: int
    old_secret_version: int
    old_secret_until: datetime | None
    state: str
    state_reason: str
    trouble: str
    failing_since: datetime | None
    answered_at: datetime | None
    last_code: str
    revision: int
    added_at: datetime

    @property
    def subject(self) -> str:
        """Return how the audit names it."""
        return f"receiver {self.name}"


def checked_name(name: str) -> str:
    """Return a name that fits.

    Raises:
        PermanentError: `bad_receiver_name`.
    """
    if not _NAME.fullmatch(name):
        raise PermanentError(
            "bad_receiver_name", "1 to 40 of a-z, 0-9 and -, a letter first: it is shown in figures"
        )
    return name


def check_purpose(kind: Kind, stream: Stream, purpose: str) -> None:
    """Refuse a purpose that is none, or where there is no pseudonym.

    Raises:
        PermanentError: `bad_purpose`.
    """
    if not purpose:
        return
    if kind is not Kind.WEBHOOK or stream is not Stream.PUBLIC_HEALTH:
        raise PermanentError("bad_purpose", "--purpose is for a webhook of public-health")
    if not _NAME.fullmatch(purpose):
        raise PermanentError("bad_purpose", "1 to 40 of a-z, 0-9 and -, a letter first")


def check_mail(options: Options) -> None:
    """Refuse a mail receiver that lacks what every letter needs.

    Raises:
        PermanentError: `bad_mail_options`.
    """
    if not ADDRESS.fullmatch(options.sender):
        raise _bad_mail("--sender is our own address in the space of trust")
    if not options.sign_cert:
        raise _bad_mail("--sign-cert is needed: every letter is signed")
    if options.to not in {"patient", "professional"}:
        raise _bad_mail("--to is patient or professional")
    if options.to == "professional" and not options.directory:
        raise _bad_mail("--to professional needs --directory, a file of RPPS;ADDRESS")
    if not ADDRESS.fullmatch(f"x@{options.domain}"):
        raise _bad_mail("--domain is a domain")


def check_domain(domain: str, realm: Realm) -> None:
    """Refuse the real space outside of production: a test INS may be somebody's there.

    Raises:
        PermanentError: `domain_of_production`.
    """
    if realm is not Realm.PRODUCTION and (
        domain == PRODUCTION_DOMAIN or domain.endswith(f".{PRODUCTION_DOMAIN}")
    ):
        raise PermanentError(
            "domain_of_production", f"{PRODUCTION_DOMAIN} is for realm production: say --domain"
        )


def checked_url(kind: Kind, url: str) -> str:
    """Return an address that may be pushed to, without a slash at its end.

    Operators say where results go, so an address of one's own network is allowed; what is refused
    is what no receiver ever has: clear text beyond this machine, credentials in the address, and
    link-local, multicast and unspecified addresses, where machines keep services about themselves.

    Raises:
        PermanentError: `bad_receiver_url`.
    """
    safe, local = SCHEMES[kind]
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    if not host or len(url) > _MAX_URL or not url.isascii() or not url.isprintable() or " " in url:
        raise _bad_url(f"give {safe}://HOST/PATH in at most {_MAX_URL} printable characters")
    if parts.username is not None or parts.password is not None:
        raise _bad_url("no user or password in it: they go into --secret-file")
    if parts.fragment or "?" in url:  # a secret there would stand in lists, dumps and proxies' logs
        raise _bad_url("leave out what follows # and ?: a secret goes into --secret-file")
    if parts.scheme != safe and not (parts.scheme == local and is_loopback(host)):
        raise _bad_url(f"{safe}:// is needed; {local}:// is for this machine alone")
    if port == 0 or _is_no_receiver(host):
        raise _bad_url("nobody receives at this address")
    return url.rstrip("/")


def _is_no_receiver(host: str) -> bool:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return mapped.is_link_local or mapped.is_multicast or mapped.is_unspecified


def _bad_mail(remedy: str) -> PermanentError:
    return PermanentError("bad_mail_options", remedy)


def _bad_url(remedy: str) -> PermanentError:
    return PermanentError("bad_receiver_url", remedy)
