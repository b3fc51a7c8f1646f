"""The sandbox over HTTP: sessions, their last messages as JSON and as a page, and `/v1/check`.

Whoever has a code sees its session; there is nothing else to be seen. Errors are problem+json.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec
from litestar import Litestar, MediaType, Response, delete, get, post
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.params import FromPath
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler

from ops.check_routes import Checker, CheckLimits, Language, check_route
from ops.checking.entries import Entry
from ops.findings_api import findings_routes
from ops.problems import http_problem, hub_problem
from schemas.errors import HubError

from .page import HEADERS, STYLE, second_notes, session_page, start_page
from .sessions import Exchange, Session, Sessions

_HOW: Final = (
    "Put the code into MSH-6 (receiving facility) or MSH-8 of your messages and send them over MLLP"
    " to the address. No code, or one that has ended: the message is shown to whoever started the"
    " sandbox."
)


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A session that was opened."""

    code: str
    mllp: str
    how: str
    json_path: str
    page_path: str
    kept_hours: int = 24


class SecondNote(msgspec.Struct, frozen=True, kw_only=True):
    """One finding of hl7apy."""

    code: str
    place: str
    remedy: str


class Second(msgspec.Struct, frozen=True, kw_only=True):
    """What hl7apy says of a message: `asked`, `given`, or why there is no opinion."""

    state: str
    findings: tuple[SecondNote, ...] = ()


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a session."""

    number: int
    received_at: datetime
    verdict: str
    answer: tuple[str, ...]
    """The acknowledgement, segment by segment."""
    entry: Entry
    second_opinion: Second


class SessionView(msgspec.Struct, frozen=True, kw_only=True):
    """A session: how many messages came, and the last of them, newest first."""

    code: str
    mllp: str
    received: int
    kept_hours: int
    messages: list[Shown]


def build_sandbox_api(sessions: Sessions, mllp: str, limits: CheckLimits) -> Litestar:
    """Return the application; `mllp` is the address that senders are told."""
    return Litestar(
        route_handlers=[
            *_json(sessions, mllp),
            *_pages(sessions, mllp),
            check_route(Checker(limits)),
            *findings_routes(),
        ],
        openapi_config=OpenAPIConfig(
            title="labdispatch sandbox",
            version="1",
            description="Send HL7 v2, see what a hub would say. Test data only.",
            path="/docs",
            # The framework's page is a script of a third party, which our policy forbids.
            render_plugins=[JsonRenderPlugin()],
        ),
        request_max_body_size=limits.body_bytes,
        after_request=_with_headers,
        exception_handlers={HubError: hub_problem, HTTPException: http_problem},
        logging_config=None,
        debug=False,
    )


def _with_headers(response: Response[Any]) -> Response[Any]:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def _json(sessions: Sessions, mllp: str) -> list[ControllerRouterHandler]:
    @post("/v1/sandbox/sessions", status_code=201, summary="Open a session")
    async def open_session() -> Opened:
        """Return a code that nobody can guess; it ends 24 hours after its last message."""
        session = sessions.open()
        return Opened(
            code=session.code,
            mllp=mllp,
            how=_HOW,
            json_path=f"/v1/sandbox/{session.code}",
            page_path=f"/sandbox/{session.code}",
        )

    @get("/v1/sandbox/{code:str}", summary="The last messages of a session")
    async def get_session(code: FromPath[str], lang: Language = "en") -> SessionView:
        """Return the last messages with verdicts and findings; no value of a message."""
        session = _known(sessions, code)
        return SessionView(
            code=session.code,
            mllp=mllp,
            received=session.received,
            kept_hours=24,
            messages=[_shown(each, lang) for each in sessions.last(session)],
        )

    @delete("/v1/sandbox/{code:str}", status_code=204, summary="Forget a session now")
    async def delete_session(code: FromPath[str]) -> None:
        """Forget the session and what it holds."""
        sessions.close(_known(sessions, code))

    return [open_session, get_session, delete_session]


def _pages(sessions: Sessions, mllp: str) -> list[ControllerRouterHandler]:
    @get(["/", "/sandbox"], media_type=MediaType.HTML, include_in_schema=False)
    async def start(lang: Language = "en") -> str:
        return start_page(lang, mllp)

    @post("/sandbox", include_in_schema=False)
    async def open_by_form(lang: Language = "en") -> Redirect:
        session = sessions.open()
        return Redirect(f"/sandbox/{session.code}?lang={lang}", status_code=303)

    @get("/sandbox/{code:str}", media_type=MediaType.HTML, include_in_schema=False)
    async def session(code: FromPath[str], lang: Language = "en") -> str:
        found = _known(sessions, code)
        return session_page(lang, mllp, found, sessions.last(found))

    @get("/sandbox.css", media_type=MediaType.CSS, include_in_schema=False)
    async def style() -> str:
        return STYLE

    @get("/healthz", media_type=MediaType.TEXT, summary="Is the process alive")
    async def healthz() -> str:
        return "ok\n"

    return [start, open_by_form, session, style, healthz]


def _known(sessions: Sessions, code: str) -> Session:
    session = sessions.get(code)
    if session is None:
        raise HTTPException(
            status_code=404,
            detail="no such session, or it has ended: open one with POST /v1/sandbox/sessions",
        )
    return session


def _shown(exchange: Exchange, language: str) -> Shown:
    entry = exchange.entries[language]
    return Shown(
        number=exchange.number,
        received_at=exchange.received_at,
        verdict=entry.verdict,
        answer=tuple(line for line in exchange.answer.split("\n") if line),
        entry=entry,
        second_opinion=Second(
            state=exchange.opinion.state,
            findings=tuple(
                SecondNote(code=code, place=place, remedy=remedy)
                for code, place, remedy in second_notes(exchange, language)
            ),
        ),
    )
