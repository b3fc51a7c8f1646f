"""POST /v1/messages over HTTPS: who may send for whom, and what an answer's status says."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from ingest.lab import Lab, LabCertificate, LabLimits, Peer
from ingest.peers import CertificateDoor
from ops.api import ApiParts, build_api
from ops.body_limit import BodyLimit
from ops.idempotency import IdempotencyKeys
from ops.message_route import ER7, PATH, MessageDoor
from ops.proofs import PEER_CERTIFICATE, Proofs
from ops.runtime.handshake import HandshakeLimits
from ops.runtime.health import Readiness
from ops.runtime.tls import TlsMaterial
from ops.serving import HttpTls, PeerProtocol, bound_socket, certificate_of, serve_http
from schemas.errors import TransientError
from tests.support.certificates import Authority, Issued, client_context
from tests.support.tls_door import (
    HubDoor,
    lab_of,
    message_of,
    on_uvloop,
    refused,
    token_of,
    until,
)

HEADERS = {"Content-Type": ER7}
LIMIT = 50_000


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


class Https:
    def __init__(self, door: HubDoor, port: int, scheme: str) -> None:
        self.door, self.port = door, port
        self.url = f"{scheme}://localhost:{port}/v1/messages"

    def client(self, issued: Issued | None = None) -> httpx.AsyncClient:
        context = client_context(self.door.authority, issued)
        return httpx.AsyncClient(verify=context, timeout=60, trust_env=False)


async def ready() -> Readiness:
    return Readiness(missing=[])


@asynccontextmanager
async def https(
    folder: Path,
    authority: Authority,
    *labs: Lab,
    tls: bool = True,
    body_seconds: float = 60.0,
) -> AsyncIterator[Https]:
    door = HubDoor(folder, authority, unknown=True)
    door.labs(*labs)
    door.appender.start()
    material = TlsMaterial(authority.files, door="http", demand="optional")
    certificates = CertificateDoor(material, door.register, door.clock)
    nothing = cast("Any", None)
    parts = ApiParts(
        messages=MessageDoor(
            acceptor=door.acceptor,
            proofs=Proofs(door.register, certificates if tls else None),
            keys=IdempotencyKeys(3),
        ),
        tokens={},
        read_conformance=nothing,
        max_body_bytes=LIMIT,
        readiness=ready,
    )
    listening = bound_socket("127.0.0.1", 0)
    port = listening.getsockname()[1]
    stopping = asyncio.Event()
    over = HttpTls(
        material=material,
        limits=HandshakeLimits(),
        max_connections=100,
        request_seconds=60.0,
    )
    serving = asyncio.ensure_future(
        serve_http(
            BodyLimit(
                build_api(parts),
                max_bytes=LIMIT,
                paths=frozenset({PATH}),
                body_seconds=body_seconds,
            ),
            listening,
            stopping,
            shutdown_seconds=5,
            tls=over if tls else None,
        )
    )
    try:
        yield Https(door, port, "https" if tls else "http")
    finally:
        stopping.set()
        await serving
        await door.appender.stop()


def bearer(number: int) -> dict[str, str]:
    return HEADERS | {"Authorization": f"Bearer {token_of(number)}"}


# ---------------------------------------------------------------------------- who sends


@on_uvloop
async def test_a_certificate_or_a_token_proves_the_laboratory(
    tmp_path: Path, authority: Authority
) -> None:
    mine = authority.issue("LAB01")
    async with https(tmp_path, authority, lab_of(1, mine), lab_of(2)) as hub:
        async with hub.client(mine) as http:
            answer = await http.post(hub.url, content=message_of("LAB01"), headers=HEADERS)
            assert (answer.status_code, answer.headers["content-type"]) == (200, ER7)
            assert b"\rMSA|AA|C-1" in answer.content
            both = await http.post(hub.url, content=message_of("LAB01"), headers=bearer(2))
            assert both.status_code == 403
        async with hub.client() as http:
            answer = await http.post(hub.url, content=message_of("LAB02"), headers=bearer(2))
            assert b"\rMSA|AA|C-1" in answer.content
            nobody = await http.post(hub.url, content=message_of("LAB02"), headers=HEADERS)
            assert nobody.status_code == 401
            assert nobody.headers["www-authenticate"] == "Bearer"
            wrong = {"Authorization": "Bearer no-such-token"}
            answer = await http.post(hub.url, content=message_of("LAB02"), headers=HEADERS | wrong)
            assert answer.status_code == 401
            # What a proxy would say counts for nothing.
            said = {"X-SSL-Client-Cert": mine.cert.read_text().replace("\n", "%0A")}
            answer = await http.post(hub.url, content=message_of("LAB01"), headers=HEADERS | said)
            assert answer.status_code == 401
        assert sorted(record.lab_id for record in hub.door.accepted) == [1, 2]


@on_uvloop
async def test_fifty_laboratories_speak_for_themselves_alone(
    tmp_path: Path, authority: Authority
) -> None:
    count = 50
    issued = {number: authority.issue(f"LAB{number:02d}") for number in range(0, count, 2)}
    labs = [
        lab_of(number, *([issued[number]] if number in issued else [])) for number in range(count)
    ]
    async with https(tmp_path, authority, *labs) as hub:
        for number in range(count):
            headers = HEADERS if number in issued else bearer(number)
            async with hub.client(issued.get(number)) as http:
                for each in range(count):
                    answer = await http.post(
                        hub.url,
                        content=message_of(f"LAB{each:02d}", f"{number}-{each}"),
                        headers=headers,
                    )
                    assert (b"\rMSA|AA|" in answer.content) == (each == number)
                    assert (b"facility_not_yours" in answer.content) == (each != number)
        assert sorted(record.lab_id for record in hub.door.accepted) == list(range(count))


@on_uvloop
async def test_a_certificate_that_no_longer_holds_is_refused_on_an_open_connection(
    tmp_path: Path, authority: Authority
) -> None:
    mine = authority.issue("LAB01")
    async with https(tmp_path, authority, lab_of(1, mine)) as hub, hub.client(mine) as http:
        answer = await http.post(hub.url, content=message_of("LAB01"), headers=HEADERS)
        assert b"\rMSA|AA|" in answer.content
        gone = LabCertificate(fingerprint=mine.peer.fingerprint, revoked=True)
        hub.door.labs(Lab(lab_id=1, registry_id="LAB01", certificates=(gone,)))
        answer = await http.post(hub.url, content=message_of("LAB01"), headers=HEADERS)
        assert answer.status_code == 403


@on_uvloop
async def test_a_bad_certificate_fails_the_handshake_and_is_counted(
    tmp_path: Path, authority: Authority
) -> None:
    before = refused("expired", "http")
    async with https(tmp_path, authority, lab_of(1)) as hub:
        async with hub.client(authority.issue("LAB01", ends=-timedelta(hours=1))) as http:
            with pytest.raises((httpx.TransportError, ssl.SSLError)):
                await http.post(hub.url, content=message_of("LAB01"), headers=HEADERS)
        await until(lambda: refused("expired", "http") == before + 1)


@on_uvloop
async def test_on_loopback_in_clear_text_nobody_has_to_prove_anything(
    tmp_path: Path, authority: Authority
) -> None:
    async with (
        https(tmp_path, authority, lab_of(1), lab_of(2), tls=False) as hub,
        hub.client() as http,
    ):
        answer = await http.post(hub.url, content=message_of("LAB01"), headers=HEADERS)
        assert b"\rMSA|AA|" in answer.content
        answer = await http.post(hub.url, content=message_of("LAB01"), headers=bearer(2))
        assert b"facility_not_yours" in answer.content


def test_where_the_connection_says_nothing_there_is_no_certificate(
    tmp_path: Path, authority: Authority
) -> None:
    class Bare(asyncio.Transport):
        def get_extra_info(self, name: str, default: Any = None) -> Any:
            return default

    class Odd(Bare):
        def get_extra_info(self, name: str, default: Any = None) -> Any:
            class Session:
                def getpeercert(self, *, binary_form: bool) -> bytes:
                    return b"not a certificate"

            return Session()

    assert certificate_of(Bare()) is None
    assert certificate_of(Odd()) is None
    door = HubDoor(tmp_path, authority)
    material = TlsMaterial(authority.files, door="http", demand="optional")
    proofs = Proofs(door.register, CertificateDoor(material, door.register, door.clock))
    for scope in ({}, {PEER_CERTIFICATE: None}, {PEER_CERTIFICATE: "CN=LAB01"}):
        assert not isinstance(proofs.peer(scope, ""), Peer | None)
    assert hasattr(PeerProtocol, "handle_events")  # uvicorn's own parser lies below


# ---------------------------------------------------------------------------- statuses


@on_uvloop
async def test_an_idempotency_key_is_of_one_message(tmp_path: Path, authority: Authority) -> None:
    async with https(tmp_path, authority, lab_of(1), lab_of(2)) as hub, hub.client() as http:

        async def post(number: int, control_id: str, key: str) -> httpx.Response:
            body = message_of(f"LAB{number:02d}", control_id)
            headers = bearer(number) | {"Idempotency-Key": key}
            return await http.post(hub.url, content=body, headers=headers)

        def verdict(answer: httpx.Response) -> bytes:
            return answer.content.partition(b"\rMSA")[2]

        first, again = await post(1, "C-1", "key"), await post(1, "C-1", "key")
        assert first.status_code == again.status_code == 200
        assert verdict(first) == verdict(again)
        assert (await post(1, "C-2", "key")).status_code == 422
        assert (await post(2, "C-2", "key")).status_code == 200  # another laboratory's own key
        for bad in ("", "x" * 256):
            assert (await post(1, "C-3", bad)).status_code == 422
        # Two copies of C-1: the inbox takes the second out again, behind the door.
        assert len(hub.door.accepted) == 3


def test_keys_are_bounded() -> None:
    keys = IdempotencyKeys(3)
    assert all(keys.fits("LAB01", f"key-{number}", b"x") for number in range(10))
    assert len(keys) == 3
    assert not keys.fits("LAB01", "key-9", b"y")


@pytest.mark.parametrize("size", [LIMIT + 1, 3_000_000])
@pytest.mark.parametrize("chunked", [False, True], ids=["with-length", "chunked"])
@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
def test_what_is_too_large_gets_its_413_and_no_reset(
    tmp_path: Path, authority: Authority, size: int, chunked: bool, tls: bool
) -> None:
    @on_uvloop
    async def check() -> None:
        async def pieces() -> AsyncIterator[bytes]:
            for start in range(0, size, 10_000):
                yield b"x" * min(10_000, size - start)

        async with https(tmp_path, authority, lab_of(1), tls=tls) as hub, hub.client() as http:
            content = pieces() if chunked else b"x" * size
            answer = await http.post(hub.url, content=content, headers=bearer(1))
            assert answer.status_code == 413
            assert answer.json()["detail"] == f"a body of at most {LIMIT} bytes is taken"
            answer = await http.post(hub.url, content=message_of("LAB01"), headers=bearer(1))
            assert b"\rMSA|AA|" in answer.content

    check()


@on_uvloop
async def test_a_length_that_is_too_large_is_answered_before_the_body(
    tmp_path: Path, authority: Authority
) -> None:
    async with https(tmp_path, authority, lab_of(1), tls=False) as hub:
        reader, writer = await asyncio.open_connection("127.0.0.1", hub.port)
        writer.write(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n")
        async with asyncio.timeout(30):
            assert (await reader.readline()).startswith(b"HTTP/1.1 413")
        writer.close()


@on_uvloop
async def test_a_body_that_does_not_come_is_408(tmp_path: Path, authority: Authority) -> None:
    async with https(tmp_path, authority, lab_of(1), tls=False, body_seconds=0.3) as hub:
        for head in (b"Content-Length: 100", b"Transfer-Encoding: chunked"):
            reader, writer = await asyncio.open_connection("127.0.0.1", hub.port)
            writer.write(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n")
            async with asyncio.timeout(30):
                assert (await reader.readline()).startswith(b"HTTP/1.1 408")
            writer.close()


@on_uvloop
async def test_a_chunked_message_is_taken(tmp_path: Path, authority: Authority) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        body = b"\x0b" + message_of("LAB01") + b"\x1c\r"
        for start in range(0, len(body), 100):
            yield body[start : start + 100]

    async with https(tmp_path, authority, lab_of(1)) as hub, hub.client() as http:
        answer = await http.post(hub.url, content=pieces(), headers=bearer(1))
        assert b"\rMSA|AA|" in answer.content


@on_uvloop
async def test_415_429_and_503_say_what_to_do(tmp_path: Path, authority: Authority) -> None:
    async with https(tmp_path / "a", authority, lab_of(1)) as hub, hub.client() as http:
        plain = bearer(1) | {"Content-Type": "text/plain"}
        answer = await http.post(hub.url, content=message_of("LAB01"), headers=plain)
        assert answer.status_code == 415
        assert ER7 in answer.json()["detail"]
        hub.door.log.fail_next = TransientError("database_away", "wait")
        answer = await http.post(hub.url, content=message_of("LAB01"), headers=bearer(1))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert b"\rMSA|AR|" in answer.content
    lab = lab_of(1, limits=LabLimits(rate_per_second=0.001, burst=1))
    async with https(tmp_path / "b", authority, lab) as hub, hub.client() as http:
        for status, code in ((200, b"AA"), (429, b"AR")):
            answer = await http.post(hub.url, content=message_of("LAB01"), headers=bearer(1))
            assert answer.status_code == status
            assert b"\rMSA|" + code + b"|" in answer.content
        assert answer.headers["retry-after"] == "5"
        assert b"rate_limited" in answer.content
        assert len(hub.door.accepted) == 1
