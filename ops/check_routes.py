"""`POST /v1/check`: what a hub would answer to messages, told to anybody; nothing is stored.

The work is done in one thread of its own, a message at a time, and the interpreter is handed over
after each: the event loop goes on answering. Bounded on every side: size of a body, messages in
it, requests that wait, time of one request.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import Request, post
from litestar.exceptions import HTTPException
from litestar.params import QueryParameter
from litestar.types import ControllerRouterHandler

from ingest.judge import LabProfile
from ops.checking.entries import Entry, Options, check
from ops.runtime.metrics import METRICS
from ops.splitting import split_parts
from schemas.decision import Realm
from schemas.errors import TransientError

ProfileName = Annotated[
    Literal["fr", "generic"], QueryParameter(description="Conventions to check against.")
]
RealmName = Annotated[
    Literal["test", "production"], QueryParameter(description="Of the hub that would answer.")
]
Language = Annotated[Literal["en", "fr"], QueryParameter(description="Language of texts.")]


class CheckLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What `POST /v1/check` allows."""

    body_bytes: int = 8 * 1024 * 1024
    messages: int = 500
    waiting: int = 8
    seconds: float = 10.0


class Checker:
    """Checks bodies one after another in a thread of its own."""

    def __init__(self, limits: CheckLimits, now: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._now = now
        self._waiting = 0
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="check")

    async def check(self, body: bytes, options: Options) -> list[Entry]:
        """Return an entry for each message.

        Raises:
            HTTPException: Empty (400), or more than is taken at once (413).
            TransientError: Too many wait (`check_busy`), or it took too long (`check_slow`).
        """
        if not body.strip():
            raise HTTPException(
                status_code=422, detail="send one message, or a batch file, as body"
            )
        if len(body) > self.limits.body_bytes:
            raise HTTPException(
                status_code=413,
                detail=f"a body may have {self.limits.body_bytes:,} bytes: send several, or use"
                " `labdispatch check`",
            )
        if self._waiting >= self.limits.waiting:
            METRICS.limit_hits.labels("check_waiting").inc()
            raise TransientError("check_busy", "others are being checked: try again in a moment")
        self._waiting += 1
        try:
            until = self._now() + self.limits.seconds
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, self._work, body, options, until)
        finally:
            self._waiting -= 1

    def _work(self, body: bytes, options: Options, until: float) -> list[Entry]:
        entries: list[Entry] = []
        for part in split_parts(body):
            if len(entries) >= self.limits.messages:
                raise HTTPException(
                    status_code=413,
                    detail=f"a body may have {self.limits.messages} messages: send several, or use"
                    " `labdispatch check`",
                )
            if self._now() > until:
                METRICS.limit_hits.labels("check_seconds").inc()
                raise TransientError("check_slow", "send fewer messages at once")
            entries.append(check(part, "body", len(entries) + 1, options))
            time.sleep(0)  # the event loop may take the interpreter now
        return entries


_DESCRIPTION: Final = (
    "Needs no token; nothing is stored or sent on. The body is one ER7 message (framed or bare), or"
    " a file of several. The answer has one entry a message, also for one without findings: what a"
    " hub would answer (AA, AE, AR), and each finding with line, place, shape of the value, why,"
    " remedy and, where it follows, the corrected line. Values are not repeated."
)


def check_route(checker: Checker) -> ControllerRouterHandler:
    """Return the handler of `POST /v1/check`."""

    @post(
        "/v1/check",
        status_code=200,
        summary="Check messages without sending them",
        description=_DESCRIPTION,
    )
    async def post_check(
        request: Request[Any, Any, Any],
        profile: ProfileName = "fr",
        realm: RealmName = "test",
        lang: Language = "en",
    ) -> list[Entry]:
        """Check the body."""
        options = Options(profile=LabProfile(name=profile), realm=Realm(realm), language=lang)
        entries = await checker.check(await request.body(), options)
        METRICS.api_requests.labels("check", "200").inc()
        return entries

    return post_check
