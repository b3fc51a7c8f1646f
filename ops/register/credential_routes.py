"""HTTP of the register for its operator: what laboratories prove themselves with."""

from __future__ import annotations

import msgspec
from litestar import delete, get, post
from litestar.params import FromPath, JSONBody
from litestar.types import ControllerRouterHandler

from ops.runtime.certificates import read_certificate
from ops.runtime.metrics import METRICS
from schemas.errors import PermanentError

from . import credentials
from .access import HttpRequest
from .credentials import CertificateEntry, NewToken, TokenEntry
from .lab_routes import OPERATOR_ONLY, Desk


class NewCertificate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A certificate as PEM, or a rule about the whole subject (RFC 4514): one of both."""

    pem: str = ""
    subject: str = ""


class TokenName(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a token is for."""

    name: str


def credential_routes(desk: Desk) -> list[ControllerRouterHandler]:
    """Return the routes of certificates and tokens."""
    return [*_certificates(desk), *_tokens(desk)]


def _certificates(desk: Desk) -> list[ControllerRouterHandler]:
    @get("/v1/labs/{lab:str}/certificates", summary="Certificates", description=OPERATOR_ONLY)
    async def get_certificates(request: HttpRequest, lab: FromPath[str]) -> list[CertificateEntry]:
        desk.gate.operator(request)
        async with desk.connection() as connection:
            found = await credentials.list_certificates(connection, lab)
        METRICS.api_requests.labels("labs", "200").inc()
        return found

    @post(
        "/v1/labs/{lab:str}/certificates",
        status_code=201,
        summary="Let a certificate stand for a laboratory",
        description=OPERATOR_ONLY,
    )
    async def post_certificate(
        request: HttpRequest, lab: FromPath[str], data: JSONBody[NewCertificate]
    ) -> CertificateEntry:
        asker = desk.gate.operator(request)
        if bool(data.pem) == bool(data.subject):
            raise PermanentError("no_certificate", "give either pem or subject")
        given = read_certificate(data.pem.encode()) if data.pem else data.subject.strip()
        async with desk.connection() as connection:
            entry, _ = await credentials.add_certificate(
                connection,
                lab,
                given,
                now=desk.clock.now(),
                actor=asker.actor,
                reason=asker.reason,
            )
        METRICS.api_requests.labels("labs", "201").inc()
        return entry

    @delete(
        "/v1/labs/{lab:str}/certificates/{which:str}",
        status_code=200,
        summary="Revoke a certificate by its number or fingerprint",
        description=OPERATOR_ONLY,
    )
    async def delete_certificate(
        request: HttpRequest, lab: FromPath[str], which: FromPath[str]
    ) -> CertificateEntry:
        asker = desk.gate.operator(request)
        async with desk.connection() as connection:
            entry, _ = await credentials.revoke_certificate(
                connection, lab, which, actor=asker.actor, reason=asker.reason
            )
        METRICS.api_requests.labels("labs", "200").inc()
        return entry

    return [get_certificates, post_certificate, delete_certificate]


def _tokens(desk: Desk) -> list[ControllerRouterHandler]:
    @get("/v1/labs/{lab:str}/tokens", summary="Tokens", description=OPERATOR_ONLY)
    async def get_tokens(request: HttpRequest, lab: FromPath[str]) -> list[TokenEntry]:
        desk.gate.operator(request)
        async with desk.connection() as connection:
            found = await credentials.list_tokens(connection, lab)
        METRICS.api_requests.labels("labs", "200").inc()
        return found

    @post(
        "/v1/labs/{lab:str}/tokens",
        status_code=201,
        summary="Make a token; this answer alone shows it",
        description=OPERATOR_ONLY,
    )
    async def post_token(
        request: HttpRequest, lab: FromPath[str], data: JSONBody[TokenName]
    ) -> NewToken:
        asker = desk.gate.operator(request)
        async with desk.connection() as connection:
            made = await credentials.new_token(
                connection, lab, data.name, actor=asker.actor, reason=asker.reason
            )
        METRICS.api_requests.labels("labs", "201").inc()
        return made

    @delete(
        "/v1/labs/{lab:str}/tokens/{number:int}",
        status_code=200,
        summary="Revoke a token",
        description=OPERATOR_ONLY,
    )
    async def delete_token(
        request: HttpRequest, lab: FromPath[str], number: FromPath[int]
    ) -> TokenEntry:
        asker = desk.gate.operator(request)
        async with desk.connection() as connection:
            entry, _ = await credentials.revoke_token(
                connection, lab, number, actor=asker.actor, reason=asker.reason
            )
        METRICS.api_requests.labels("labs", "200").inc()
        return entry

    return [get_tokens, post_token, delete_token]
