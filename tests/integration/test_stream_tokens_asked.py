"""What operators ask of readers' tokens: the commands, and the same over HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from click.testing import CliRunner
from litestar import Litestar
from litestar.exceptions import HTTPException

from ops import cli
from ops.bootstrap import Hub
from ops.problems import http_problem, hub_problem
from ops.register.access import Gate
from ops.register.lab_routes import Desk
from ops.stream_tokens import commands
from ops.stream_tokens.refusals import Refused
from ops.stream_tokens.routes import token_routes
from ops.stream_tokens.token import Wish
from schemas.errors import HubError, PermanentError
from schemas.topics import Stream
from tests.support.hub import scratch_hub
from tests.support.postgres import Database
from tests.support.readers import BUILT_IN, OPERATOR_ASKS, SetClock, bearer, process_of


@pytest.fixture
async def hub(database: Database, tmp_path: Path) -> AsyncIterator[Hub]:
    async with scratch_hub(database, tmp_path) as opened:
        yield opened


@pytest.fixture
def here(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands find the scratch hub in whatever folder they are told."""

    @asynccontextmanager
    async def instance_at(_: Path, **__: Any) -> AsyncIterator[Hub]:
        yield hub

    monkeypatch.setattr(commands, "instance_at", instance_at)
    return Path()


@pytest.fixture
async def http(hub: Hub) -> AsyncIterator[httpx.AsyncClient]:
    desk = Desk(pool=hub.pool, clock=hub.clock, gate=Gate(tokens=BUILT_IN))
    app = Litestar(
        route_handlers=token_routes(desk),
        exception_handlers={HubError: hub_problem, HTTPException: http_problem},
        logging_config=None,
    )
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=cast("Any", app)),
        base_url="http://hub",
        headers={"Authorization": bearer(BUILT_IN["operator"]), "X-Reason": "agreement 12"},
    ) as client:
        yield client


async def test_an_operators_day(hub: Hub, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wish = Wish(
        name="spf", streams=["contact-tracing"], filter=(("department", "75"),), daily_events=10
    )
    await commands.add(here, wish, OPERATOR_ASKS, as_json=True)
    secret = json.loads(capsys.readouterr().out)["token"]
    access = process_of(hub, SetClock(hub.clock.now()))
    async with await access.admit(bearer(secret), Stream.CONTACT_TRACING) as admission:
        assert await admission.take(500) == 10
        admission.note(4)
    await access.flush()
    await commands.print_one(here, "spf", as_json=False)
    shown = capsys.readouterr().out
    assert "department=75" in shown and "contact-tracing" in shown and secret not in shown
    await commands.print_one(here, "spf", as_json=True)
    (day,) = json.loads(capsys.readouterr().out)["days"]
    assert (day["events"], day["reads"], day["refused"]) == (4, 1, 0)
    await commands.set_quota(here, "spf", "keep", "keep", OPERATOR_ASKS, as_json=True)
    assert json.loads(capsys.readouterr().out)["daily_events"] == 10
    await commands.set_quota(here, "spf", "none", "3", OPERATOR_ASKS, as_json=True)
    limits = json.loads(capsys.readouterr().out)
    assert (limits["daily_events"], limits["max_connections"]) == (None, 3)
    for daily, connections in (("many", "keep"), ("0", "keep"), ("keep", "none")):
        with pytest.raises(PermanentError, match="bad_quota"):
            await commands.set_quota(here, "spf", daily, connections, OPERATOR_ASKS, as_json=False)
    await commands.print_list(here, as_json=False, everything=False)
    assert "spf" in capsys.readouterr().out
    await commands.revoke(here, "spf", OPERATOR_ASKS)
    await commands.print_list(here, as_json=False, everything=False)
    assert "no reader has a token" in capsys.readouterr().out
    await commands.print_list(here, as_json=True, everything=True)
    ((entry),) = json.loads(capsys.readouterr().out)
    assert (entry["state"], entry["revoked_by"]) == ("revoked", "o.perator")
    await commands.print_one(here, "spf", as_json=False)
    assert "revoked" in capsys.readouterr().out
    with pytest.raises(PermanentError, match="no_such_token"):
        await commands.set_quota(here, "spf", "1", "keep", OPERATOR_ASKS, as_json=False)


async def test_the_same_over_http(hub: Hub, http: httpx.AsyncClient) -> None:
    asked = {"name": "ars-idf", "streams": ["dossier", "contact-tracing"], "expires_days": 30}
    made = await http.post("/v1/tokens", json=asked)
    assert made.status_code == 201, made.text
    access = process_of(hub, SetClock(hub.clock.now()))
    secret = bearer(made.json()["token"])
    for stream in (Stream.DOSSIER, Stream.CONTACT_TRACING):
        (await access.admit(secret, stream)).close()
    listed = await http.get("/v1/tokens")
    assert [each["name"] for each in listed.json()] == ["ars-idf"]
    assert made.json()["token"] not in listed.text
    put = await http.put("/v1/tokens/ars-idf/quota", json={"daily_events": 5, "max_connections": 2})
    assert put.json()["token"]["daily_events"] == 5
    shown = await http.get("/v1/tokens/ars-idf")
    assert shown.json()["token"]["streams"] == ["dossier", "contact-tracing"]
    gone = await http.delete("/v1/tokens/ars-idf")
    assert gone.json()["token"]["state"] == "revoked"
    await access.step()
    with pytest.raises(Refused, match="token_revoked"):
        await access.admit(secret, Stream.DOSSIER)


IMPOSSIBLE: tuple[tuple[dict[str, Any], dict[str, str], int, str], ...] = (
    ({"name": "a", "streams": ["public-health"]}, {"Authorization": ""}, 401, "HTTP 401"),
    (
        {"name": "a", "streams": ["public-health"]},
        {"Authorization": bearer(BUILT_IN["public-health"])},
        403,
        "HTTP 403",
    ),
    ({"name": "a", "streams": ["dossier"]}, {"X-Reason": ""}, 400, "reason_needed"),
    ({"name": "A", "streams": ["public-health"]}, {}, 400, "bad_token_name"),
    ({"name": "a", "streams": ["public-health"], "quota": 5}, {}, 400, "HTTP 400"),
    ({"name": "a", "streams": ["public-health"], "expires_days": 10**9}, {}, 400, "bad_expiry"),
    (
        {"name": "a", "streams": ["public-health"], "filter": [["condition", "Zanzibar"]]},
        {},
        400,
        "bad_filter",
    ),
)


async def test_what_cannot_be_says_the_next_step(http: httpx.AsyncClient) -> None:
    for asked, headers, status, title in IMPOSSIBLE:
        answer = await http.post("/v1/tokens", json=asked, headers=headers)
        told = answer.status_code, answer.headers["content-type"], answer.json()["title"]
        assert told == (status, "application/problem+json", title)
        assert answer.json()["detail"]
        assert "Zanzibar" not in answer.text


async def test_names_that_are_none_are_not_found(http: httpx.AsyncClient) -> None:
    for method, path in (
        ("GET", "/v1/tokens/nobody"), ("DELETE", "/v1/tokens/nobody"),
    ):  # fmt: skip
        answer = await http.request(method, path)
        assert (answer.status_code, answer.json()["title"]) == (404, "no_such_token")
    await http.post("/v1/tokens", json={"name": "a", "streams": ["public-health"]})
    again = await http.post("/v1/tokens", json={"name": "a", "streams": ["public-health"]})
    assert (again.status_code, again.json()["title"]) == (409, "token_exists")


def test_the_command_line_says_what_it_takes() -> None:
    runner = CliRunner()
    for command in ("add", "list", "show", "revoke", "quota"):
        told = runner.invoke(cli.main, ["tokens", command, "--help"])
        assert told.exit_code == 0, told.output
    told = runner.invoke(cli.main, ["tokens", "add", "spf", "--stream", "nothing"])
    assert told.exit_code == 2
    told = runner.invoke(
        cli.main, ["tokens", "add", "spf", "--stream", "public-health", "--where", "condition"]
    )
    assert told.exit_code == 1 and "bad_filter" in told.output
