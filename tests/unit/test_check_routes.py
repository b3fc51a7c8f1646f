"""`POST /v1/check` and the sandbox over HTTP: bounded, without token, nothing kept."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from litestar.exceptions import HTTPException
from litestar.testing import TestClient

from ops.api import ApiParts, build_api
from ops.check_routes import Checker, CheckLimits
from ops.checking.entries import Options
from ops.message_route import MessageDoor
from ops.register.routes import ReadConformance
from ops.runtime.health import Readiness
from ops.sandbox.routes import build_sandbox_api
from ops.sandbox.sessions import SandboxLimits, Sessions
from ops.simulate.sample import sample_message
from schemas.errors import TransientError

GOOD = sample_message()
LIMITS = CheckLimits(body_bytes=100_000, messages=5)


class Still:
    def now(self) -> datetime:
        return datetime(2026, 3, 6, 9, tzinfo=UTC)


def client(sessions: Sessions | None = None) -> TestClient[Any]:
    sessions = sessions or Sessions(Still(), SandboxLimits())
    return TestClient(build_sandbox_api(sessions, "127.0.0.1:2576", LIMITS))


def test_a_body_is_checked_without_a_token() -> None:
    with client() as http:
        answer = http.post("/v1/check", content=GOOD * 2)
        assert answer.status_code == 200
        assert [(each["verdict"], each["control_id"]) for each in answer.json()] == [
            ("AA", "L0001-20260306-0001")
        ] * 2
        bad = GOOD.replace(b"|19790328|", b"|28/03/1979|")
        (entry,) = http.post("/v1/check?lang=fr&realm=production", content=bad).json()
        assert entry["realm"] == "production" and entry["verdict"] == "AR"


@pytest.mark.parametrize(
    ("body", "query", "status"),
    [
        (b"", "", 422),
        (b" \r\n", "", 422),
        (GOOD * 6, "", 413),
        (b"x" * 200_000, "", 413),
        (GOOD, "?lang=de", 400),
        (GOOD, "?profile=other", 400),
    ],
)
def test_what_is_not_taken_is_said_as_a_problem(body: bytes, query: str, status: int) -> None:
    with client() as http:
        answer = http.post(f"/v1/check{query}", content=body)
        assert answer.status_code == status
        assert answer.headers["content-type"].startswith("application/problem+json")
        assert answer.json()["status"] == status and answer.json()["detail"]


async def test_more_than_may_wait_are_told_to_come_again() -> None:
    checker = Checker(CheckLimits(waiting=2))
    started, go_on = threading.Event(), threading.Event()

    def held() -> None:
        started.set()
        go_on.wait(10)

    holding = asyncio.get_running_loop().run_in_executor(checker._thread, held)
    waiting = [asyncio.create_task(checker.check(GOOD, Options())) for _ in range(2)]
    await asyncio.to_thread(started.wait)
    await asyncio.sleep(0)
    with pytest.raises(TransientError, match="check_busy"):
        await checker.check(GOOD, Options())
    # The thread is busy and the loop is not: this line is reached.
    go_on.set()
    await holding
    assert [len(each) for each in await asyncio.gather(*waiting)] == [1, 1]
    assert len(await checker.check(GOOD, Options())) == 1


async def test_a_request_that_takes_too_long_is_ended() -> None:
    ticks = iter(range(100))
    checker = Checker(CheckLimits(seconds=2), now=lambda: float(next(ticks)))
    with pytest.raises(TransientError, match="check_slow"):
        await checker.check(GOOD * 10, Options())
    with pytest.raises(HTTPException):
        await checker.check(b"", Options())


def test_a_hub_checks_too_and_hands_nothing_to_its_door() -> None:
    # The door, the reader of streams and the database are not even there.
    parts = ApiParts(
        messages=cast("MessageDoor", None),
        tokens={},
        max_body_bytes=100_000,
        readiness=_ready,
        read_conformance=cast("ReadConformance", None),
    )
    with TestClient(build_api(parts)) as http:
        answer = http.post("/v1/check", content=GOOD)
        assert answer.status_code == 200
        assert [each["verdict"] for each in answer.json()] == ["AA"]
        paths = http.get("/docs/openapi.json").json()["paths"]
        for path, method in (
            ("/v1/check", "post"),
            ("/v1/findings", "get"),
            ("/v1/findings/{code}", "get"),
            ("/v1/conformance", "get"),
            ("/v1/conformance/{lab}", "get"),
        ):
            assert paths[path][method]["summary"], path
        for method, path, status in (
            ("GET", "/v1/findings/none", 404),
            ("GET", "/v1/conformance", 401),
            ("GET", "/v1/conformance/x%0d%0aSet-Cookie:y", 401),
            ("POST", "/v1/check?lang=<b>", 400),
            ("GET", "/v1/check", 405),
            ("GET", "/v1/none%1b[2J", 404),
        ):
            refused = http.request(method, path, content=GOOD if method == "POST" else None)
            kind = refused.headers["content-type"]
            assert (refused.status_code, kind) == (status, "application/problem+json"), path
            assert "\x1b" not in refused.text and "set-cookie" not in refused.headers
            assert "<b>" not in refused.text


async def _ready() -> Readiness:
    return Readiness(missing=[])


def test_a_session_is_opened_shown_and_forgotten() -> None:
    sessions = Sessions(Still(), SandboxLimits())
    with client(sessions) as http:
        opened = http.post("/v1/sandbox/sessions")
        assert opened.status_code == 201
        code = opened.json()["code"]
        shown = http.get(f"/v1/sandbox/{code}")
        assert shown.json()["messages"] == [] and shown.json()["kept_hours"] == 24
        page = http.get(f"/sandbox/{code}?lang=fr")
        assert page.headers["content-type"].startswith("text/html")
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert page.headers["referrer-policy"] == "no-referrer"
        assert http.get("/").status_code == http.get("/sandbox.css").status_code == 200
        # Where the links of the findings lead.
        assert http.get("/v1/findings/time_unreadable").json()["code"] == "time_unreadable"
        form = http.post("/sandbox", follow_redirects=False)
        assert form.status_code == 303 and form.headers["location"].startswith("/sandbox/")
        assert http.delete(f"/v1/sandbox/{code}").status_code == 204
        for path in (f"/v1/sandbox/{code}", f"/sandbox/{code}", "/v1/sandbox/" + "A" * 24):
            assert http.get(path).status_code == 404


def test_a_full_sandbox_says_so() -> None:
    with client(Sessions(Still(), SandboxLimits(sessions=1))) as http:
        answer = http.post("/v1/sandbox/sessions")
        assert answer.status_code == 503 and answer.json()["title"] == "sandbox_full"
