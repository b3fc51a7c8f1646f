"""What operators see and do with receivers; FHIR servers end to end; what is kept nowhere."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from ops.bootstrap import Hub
from ops.receivers import commands
from ops.receivers.receiver import Kind, Options
from ops.runtime.postgres import lent
from ops.tracing.asking import trace
from ops.tracing.finding import Wanted
from schemas.errors import PermanentError
from schemas.report import ResultStatus
from schemas.topics import Stream
from tests.support.certificates import Authority
from tests.support.hub import Road, scratch_hub
from tests.support.people import message, report
from tests.support.postgres import Database
from tests.support.receiving import (
    ASKER,
    Target,
    Told,
    added,
    deliveries,
    emit,
    event,
    serving,
    until_states,
)
from tests.unit.test_receivers import sample


@pytest.fixture
async def hub(database: Database, tmp_path: Path) -> AsyncIterator[Hub]:
    async with scratch_hub(database, tmp_path) as made:
        yield made


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    made = Target()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def here(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands find the scratch hub in whatever folder they are told."""

    @asynccontextmanager
    async def instance_at(_: Path, **__: Any) -> AsyncIterator[Hub]:
        yield hub

    monkeypatch.setattr(commands, "instance_at", instance_at)
    return Path()


def said(capsys: pytest.CaptureFixture[str]) -> Any:
    """Return what was printed last: logs of what is served here come before it."""
    return json.loads(capsys.readouterr().out.splitlines()[-1])


async def test_an_operators_day(
    hub: Hub, database: Database, target: Target, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wish = commands.wish_of(
        "ars", "webhook", "public-health", target.url, Options(), from_start=True
    )
    await commands.add(here, wish, None, ASKER, as_json=True)
    first_key = said(capsys)["webhook_key"]
    target.behaviour = lambda asked: Told(status=422 if asked.json["body"]["number"] == 2 else 200)
    async with serving(hub, database.connect_kwargs):
        await emit(hub, [event(1), event(2)])
        await until_states(hub, "ars", lambda f: sorted(f.values()) == ["accepted", "dead"])
        await commands.print_list(here, as_json=True)
        (seen,) = said(capsys)
        assert (seen["state"], seen["waiting"], seen["dead"]) == ("active", 0, 1)
        assert first_key not in json.dumps(seen)
        await commands.print_dead(here, "ars", limit=5, as_json=True)
        (dead,) = said(capsys)
        assert (dead["protocol"], dead["code"]) == ("http", "422")
        await commands.rotate(here, "ars", None, ASKER)
        second_key = next(
            line for line in capsys.readouterr().out.splitlines() if line.startswith("whsec_")
        )
        target.behaviour = lambda _: Told()
        await commands.end_dead(here, "ars", [UUID(dead["event_id"])], again=True, asker=ASKER)
        await until_states(hub, "ars", lambda f: list(f.values()) == ["accepted"] * 2)
        async with asyncio.timeout(60):  # the one that served until now may still send one
            number = 10
            while len(target.asked[-1].headers["webhook-signature"].split()) < 2:
                number += 1
                await emit(hub, [event(number)])
                await asyncio.sleep(0.2)
    asked = target.asked[-1]
    is_ours = sample()
    assert is_ours(asked.headers, asked.body, first_key), "the old key signs too for a day"
    assert is_ours(asked.headers, asked.body, second_key)
    capsys.readouterr()
    for told in (commands.print_list(here, as_json=False),
                 commands.print_one(here, "ars", as_json=False),
                 commands.print_dead(here, "ars", limit=5, as_json=False)):  # fmt: skip
        await told
        assert "ars" in (out := capsys.readouterr().out) or "no dead letter" in out
    await commands.pause(here, "ars", ASKER)
    with pytest.raises(PermanentError, match="receiver_stopped"):
        await commands.pause(here, "ars", ASKER)
    await commands.resume(here, "ars", "now", ASKER)
    await commands.remove(here, "ars", ASKER)
    with pytest.raises(PermanentError, match="no_such_receiver"):
        await commands.print_one(here, "ars", as_json=True)
    actions = await rows(
        hub, "SELECT reason FROM audit WHERE action = 'receiver' ORDER BY audit_id"
    )
    assert [row["reason"].partition(":")[0] for row in actions] == [
        "added", "secret 2 holds", "dead letters", "paused", "resumed from now", "removed"
    ]  # fmt: skip


async def rows(hub: Hub, query: str) -> list[Any]:
    async with lent(hub.pool) as connection:
        return await connection.fetch(query)


async def test_a_fhir_server_holds_what_the_dossier_says(
    hub: Hub, database: Database, target: Target
) -> None:
    """From a laboratory's message to the server, which is a map from type and id to resource."""
    road, server = Road(hub), Server()
    target.behaviour = server.take
    await added(hub, "dmp", target.url, kind=Kind.FHIR, stream=Stream.DOSSIER, given=b"a-token")
    two = report(observations=(*report().observations, *report().observations[:1]))
    async with serving(hub, database.connect_kwargs):
        await road.put(message(None, two))
        await road.dispatch()
        await until_states(hub, "dmp", lambda f: list(f.values()) == ["accepted"])
        assert server.statuses("DiagnosticReport") == ["final"]
        assert server.statuses("Observation") == ["final", "final"]
        await road.put(message(None, report(status=ResultStatus.CORRECTED)))
        await road.dispatch()
        await until_states(hub, "dmp", lambda f: list(f.values()) == ["accepted"] * 2)
        assert server.statuses("DiagnosticReport") == ["corrected"]
        assert server.statuses("Observation") == ["entered-in-error", "final"]
        (state,) = await rows(hub, "SELECT message_id FROM outcome ORDER BY received_at LIMIT 1")
    assert len(server.resources["Patient"]) == 1, "one patient, made once"
    assert {asked.headers["authorization"] for asked in target.asked} == {"Bearer a-token"}
    (found,) = await trace(hub, Wanted(ids=(str(state["message_id"]),)))
    (station,) = [s for s in found.stations if s["station"] == "receiver"]
    assert (station["receiver"], station["state"], station["code"]) == ("dmp", "accepted", "200")


class Server:
    """A FHIR server as far as a transaction needs one."""

    def __init__(self) -> None:
        self.resources: dict[str, dict[str, Any]] = {}

    def take(self, asked: Any) -> Told:
        assert asked.headers["content-type"] == "application/fhir+json"
        for entry in asked.json["entry"]:
            kind, resource = entry["resource"]["resourceType"], entry["resource"]
            held = self.resources.setdefault(kind, {})
            if entry["request"]["method"] == "PUT":
                held[resource["id"]] = resource
            else:
                held.setdefault(entry["request"]["ifNoneExist"], resource)
        return Told(body=b'{"resourceType":"Bundle","type":"transaction-response"}')

    def statuses(self, kind: str) -> list[str]:
        return sorted(each["status"] for each in self.resources[kind].values())


async def test_a_webhook_of_another_purpose_gets_ids_of_its_own(
    hub: Hub, database: Database, target: Target
) -> None:
    road = Road(hub)
    await added(hub, "plain", target.url)
    await added(hub, "other", f"{target.url}/other", options=Options(purpose="research"))
    async with serving(hub, database.connect_kwargs):
        await road.put(message())
        await road.dispatch()
        for name in ("plain", "other"):
            await until_states(hub, name, lambda f: list(f.values()) == ["accepted"])
    plain, other = sorted(target.asked, key=lambda asked: asked.path)
    for name in ("event_id", "report_id"):
        assert plain.json[name] != other.json[name]
    assert other.headers["webhook-id"] == other.headers["idempotency-key"] == other.json["event_id"]
    assert plain.json["body"]["pseudonym"] != other.json["body"]["pseudonym"]
    assert plain.json["body"]["condition"] == other.json["body"]["condition"]
    known = (plain.json["report_id"], plain.json["event_id"], plain.json["body"]["pseudonym"])
    told = other.body.decode() + repr(other.headers)
    assert not [each for each in known if each in told]


async def test_over_tls_both_sides_prove_themselves(
    hub: Hub, database: Database, tmp_path: Path
) -> None:
    authority, stranger = Authority(tmp_path / "ca"), Authority(tmp_path / "other", "Other CA")
    ours = authority.issue("hub")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.server.cert, authority.server.key)
    context.load_verify_locations(authority.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    target = Target()
    await target.start(context)
    url = target.url.replace("127.0.0.1", "localhost")
    given = {"client_cert": str(ours.cert), "client_key": str(ours.key)}
    await added(hub, "good", url, options=Options(ca=str(authority.ca), **given))
    await added(hub, "wrong", url, options=Options(ca=str(stranger.ca), **given))
    try:
        async with serving(hub, database.connect_kwargs):
            await emit(hub, [event(1)])
            await until_states(hub, "good", lambda f: list(f.values()) == ["accepted"])
            async with asyncio.timeout(60):
                while not (found := await deliveries(hub, "wrong")) or not found[0]["code"]:
                    await asyncio.sleep(0.02)
    finally:
        await target.stop()
    assert (found[0]["state"], found[0]["code"]) == ("waiting", "tls_refused")
    assert len(target.asked) == 1


async def test_no_log_and_no_row_holds_what_was_sent_or_answered(
    hub: Hub, database: Database, target: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    canary = "PAT-TROIS-CANARY"
    target.behaviour = lambda asked: Told(
        status=(422, 500, 503, 0)[len(target.asked) % 4],
        headers={"X-Echo": canary},
        body=b'{"resourceType":"OperationOutcome","issue":[{"code":"invalid","diagnostics":"%b"}]}'
        % canary.encode(),
    )
    await added(hub, "one", target.url)
    await emit(hub, [event(number, body={"name": canary}) for number in range(1, 9)])
    async with serving(hub, database.connect_kwargs, push_failures=2):
        await target.until(lambda: len(target.asked) > 20)
    told = repr(await deliveries(hub, "one")) + repr(await rows(hub, "SELECT * FROM receiver"))
    assert canary in target.asked[0].body.decode()
    logged = capsys.readouterr()
    assert "delivery_dead" in logged.out
    assert canary not in told + logged.out + logged.err


async def test_the_database_holds_no_secret(hub: Hub, target: Target) -> None:
    made = await added(hub, "one", target.url)
    given = base64.b64decode(made.webhook_key.removeprefix("whsec_"))
    told = repr(await rows(hub, "SELECT * FROM receiver"))
    for secret in (made.acknowledgement_token, made.webhook_key, repr(given)[2:-1]):
        assert secret not in told
    assert given == hub.vault.kept_secret(f"receiver-{made.receiver_id}-1")


async def test_a_stream_that_a_kind_cannot_carry_is_refused(hub: Hub, target: Target) -> None:
    with pytest.raises(PermanentError, match="bad_receiver_stream"):
        await added(hub, "one", target.url, kind=Kind.FHIR, stream=Stream.PUBLIC_HEALTH)
    with pytest.raises(PermanentError, match="bad_receiver_url"):
        await added(hub, "one", "http://example.org/in")
