"""`GET /v1/findings`: what each finding means, for whoever was told its code; no token needed."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from litestar import Request, get
from litestar.exceptions import HTTPException
from litestar.response import Response
from litestar.types import ControllerRouterHandler

from ingest.catalogue import RULES, english, french
from ingest.rules.rule import Rule
from ops.runtime.metrics import METRICS

from .profile_page import finding_page, place_of

MARKDOWN: Final = "text/markdown; charset=utf-8"
JSON: Final = "application/json"


class FindingText(msgspec.Struct, frozen=True, kw_only=True):
    """A finding as its page has it."""

    code: str
    level: str
    hl7_code: int
    place: str
    en: str
    fr: str
    why: str
    source: str
    good: str
    bad: str
    profiles: tuple[str, ...]
    may_be_resent: bool


class FindingTexts(msgspec.Struct, frozen=True, kw_only=True):
    """Every finding that can be told."""

    findings: tuple[FindingText, ...]


def findings_routes() -> list[ControllerRouterHandler]:
    """Return the routes that serve the catalogue."""

    @get("/v1/findings", media_type=JSON, summary="Every finding that can be told")
    async def get_findings() -> FindingTexts:
        """Answer all findings with their texts in English and French, in the profile's order."""
        METRICS.api_requests.labels("findings", "200").inc()
        return FindingTexts(findings=tuple([_text_of(rule) for rule in RULES.values()]))

    @get("/v1/findings/{code:str}", media_type=JSON, summary="What one finding means")
    async def get_finding(request: Request[Any, Any, Any]) -> Response[Any]:
        """Answer one finding; as a page for `Accept: text/markdown`, else as JSON."""
        rule = RULES.get(request.path_params["code"])
        if rule is None:
            raise HTTPException(status_code=404, detail="GET /v1/findings lists the codes")
        METRICS.api_requests.labels("findings", "200").inc()
        if "text/markdown" in request.headers.get("accept", ""):
            return Response(finding_page(rule), media_type=MARKDOWN)
        return Response(_text_of(rule), media_type=JSON)

    return [get_findings, get_finding]


def _text_of(rule: Rule) -> FindingText:
    return FindingText(
        code=rule.code,
        level=rule.level.value,
        hl7_code=rule.hl7_code,
        place=place_of(rule.place),
        en=english(rule),
        fr=french(rule),
        why=rule.why,
        source=rule.source,
        good=rule.good,
        bad=rule.bad,
        profiles=rule.profiles,
        may_be_resent=rule.may_be_resent,
    )
