"""Mutual TLS on MLLP, on real sockets: who gets in, who does not, why, and what a peer is told."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import warnings
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from ingest.lab import Lab, LabCertificate, LabLimits
from ingest.listener import ListenerLimits
from ops.client import MllpClient
from ops.runtime.handshake import REFUSALS, HandshakeLimits
from schemas.errors import FatalError, TransientError
from tests.support.certificates import Authority, Issued, client_context
from tests.support.product import LABDISPATCH
from tests.support.tls_door import (
    HubDoor,
    closed,
    hub_door,
    lab_of,
    message_of,
    on_uvloop,
    refused,
    until,
)

HOUR = timedelta(hours=1)
FRAME = b"\x0b%b\x1c\r"
RESET = struct.pack("ii", 1, 0)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def client(door: HubDoor, issued: Issued | None) -> MllpClient:
    return MllpClient("127.0.0.1", door.listener.port, tls=client_context(door.authority, issued))


async def seen_by_the_peer(door: HubDoor, context: ssl.SSLContext) -> str:
    """Try to send; say what the peer saw of the refusal."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.listener.port, ssl=context)
    except ssl.SSLError as error:
        return f"alert {error.reason}"
    except OSError:
        return "closed"
    try:
        writer.write(FRAME % message_of("LAB01"))
        async with asyncio.timeout(30):
            return "answer" if await reader.read() else "closed"
    except ssl.SSLError as error:
        return f"alert {error.reason}"
    except OSError:
        return "closed"
    finally:
        writer.close()


async def is_closed(reader: asyncio.StreamReader) -> bool:
    async with asyncio.timeout(30):
        try:
            return await reader.read() == b""
        except OSError:
            return True


# ---------------------------------------------------------------------------- getting in


@on_uvloop
async def test_a_laboratory_with_its_certificate_is_answered(
    tmp_path: Path, authority: Authority
) -> None:
    mine = authority.issue("LAB01")
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = client_context(authority, mine)
        context.minimum_version = context.maximum_version = version
        async with hub_door(tmp_path, authority, [lab_of(1, mine)]) as door:
            hub = MllpClient("127.0.0.1", door.listener.port, tls=context)
            async with hub:
                assert (await hub.send(message_of("LAB01", "C-1"))).code == "AA"
                assert (await hub.send(message_of("LAB01", "C-2"))).control_id == "C-2"
            assert [record.lab_id for record in door.accepted] == [1, 1]


@on_uvloop
async def test_two_certificates_hold_while_one_follows_the_other(
    tmp_path: Path, authority: Authority
) -> None:
    old, new = authority.issue("LAB01"), authority.issue("LAB01")
    async with hub_door(tmp_path, authority, [lab_of(1, old, new)]) as door:
        for issued in (old, new):
            async with client(door, issued) as hub:
                assert (await hub.send(message_of("LAB01"))).code == "AA"


@on_uvloop
async def test_a_subject_rule_lets_in_what_the_authority_issues_for_it(
    tmp_path: Path, authority: Authority
) -> None:
    rule = LabCertificate(subject="CN=LAB01")
    lab = Lab(lab_id=1, registry_id="LAB01", profile="generic", certificates=(rule,))
    async with (
        hub_door(tmp_path, authority, [lab]) as door,
        client(door, authority.issue("LAB01")) as hub,
    ):
        assert (await hub.send(message_of("LAB01"))).code == "AA"


@on_uvloop
async def test_a_certificate_of_no_laboratory_is_closed_and_counted(
    tmp_path: Path, authority: Authority
) -> None:
    before = closed("unknown_certificate")
    async with hub_door(tmp_path, authority, [lab_of(1)], unknown=True) as door:
        said = await seen_by_the_peer(door, client_context(authority, authority.issue("NOBODY")))
        assert said == "closed"
        assert closed("unknown_certificate") == before + 1
        await until(lambda: door.open == 0)
        assert door.accepted == []


@on_uvloop
async def test_another_ones_facility_is_rejected_and_noted(
    tmp_path: Path, authority: Authority
) -> None:
    mine = authority.issue("LAB01")
    labs = [lab_of(1, mine, facilities=frozenset({"SITE-B"})), lab_of(2)]
    async with hub_door(tmp_path, authority, labs, unknown=True) as door:
        async with client(door, mine) as hub:
            for facility in ("LAB02", "NOBODY-YET"):
                answer = await hub.send(message_of(facility))
                assert answer.code == "AR"
                assert b"facility_not_yours" in answer.raw
            assert (await hub.send(message_of("SITE-B"))).code == "AA"
        assert [(peer.registry_id, name) for peer, name in door.foreign] == [
            ("LAB01", "LAB02"),
            ("LAB01", "NOBODY-YET"),
        ]
        assert door.counts.take() == {("AR", "facility_not_yours"): 2}
        assert [record.lab_id for record in door.accepted] == [1]


@on_uvloop
async def test_fifty_laboratories_speak_for_themselves_alone(
    tmp_path: Path, authority: Authority
) -> None:
    count = 50
    issued = {number: authority.issue(f"LAB{number:02d}") for number in range(count)}
    labs = [lab_of(number, one) for number, one in issued.items()]
    async with hub_door(tmp_path, authority, labs, unknown=True) as door:

        async def send_all(number: int) -> list[str]:
            async with client(door, issued[number]) as hub:
                return [
                    (await hub.send(message_of(f"LAB{each:02d}", f"{number}-{each}"))).code
                    for each in range(count)
                ]

        table = [await send_all(number) for number in range(count)]
        for number, row in enumerate(table):
            assert [each for each, code in enumerate(row) if code == "AA"] == [number]
            assert row.count("AR") == count - 1
        assert sorted(record.lab_id for record in door.accepted) == list(range(count))


@on_uvloop
async def test_the_command_send_shows_a_certificate(tmp_path: Path, authority: Authority) -> None:
    mine = authority.issue("LAB01")
    file = tmp_path / "results.hl7"
    file.write_bytes(message_of("LAB01"))

    async def send(*options: str) -> int:
        process = await asyncio.create_subprocess_exec(
            *LABDISPATCH, "send", str(file), "--to", f"127.0.0.1:{door.listener.port}",
            *options, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        async with asyncio.timeout(100):
            return await process.wait()

    async with hub_door(tmp_path, authority, [lab_of(1, mine)]) as door:
        proof = ("--cert", str(mine.cert), "--key", str(mine.key))
        assert await send("--tls-ca", str(authority.ca), *proof) == 0
        assert len(door.accepted) == 1
        assert await send("--tls-ca", str(authority.ca)) != 0
        assert await send("--tls-ca", str(authority.ca), *proof[:2]) == 2
        assert len(door.accepted) == 1


def send_once(
    port: int, context: ssl.SSLContext, session: ssl.SSLSession | None
) -> tuple[bytes, ssl.SSLSession | None, bool]:
    """Send a message, on a session that is to go on; return answer, session, whether it went on."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=30) as raw,
        context.wrap_socket(raw, server_hostname="localhost", session=session) as tls,
    ):
        went_on = bool(tls.session_reused)
        got = b""
        try:
            tls.sendall(FRAME % message_of("LAB01"))
            while not got.endswith(b"\x1c\r") and (piece := tls.recv(4_096)):
                got += piece
            kept = tls.session
            tls.unwrap()
        except OSError:
            return got, None, went_on
        return got, kept, went_on


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@on_uvloop
async def test_a_session_that_goes_on_is_proved_anew(
    tmp_path: Path, authority: Authority, version: ssl.TLSVersion
) -> None:
    mine = authority.issue("LAB01")
    context = client_context(authority, mine)
    context.minimum_version = context.maximum_version = version
    async with hub_door(tmp_path, authority, [lab_of(1, mine)]) as door:
        port = door.listener.port
        answer, session, _ = await asyncio.to_thread(send_once, port, context, None)
        assert b"MSA|AA|" in answer
        answer, session, went_on = await asyncio.to_thread(send_once, port, context, session)
        assert b"MSA|AA|" in answer
        assert not went_on or version is ssl.TLSVersion.TLSv1_2
        # Revoked in the register: the session says who it was, the register says nobody.
        door.labs(lab_of(1))
        answer, _, _ = await asyncio.to_thread(send_once, port, context, session)
        assert answer == b""
        # New files: no session of before goes on.
        door.labs(lab_of(1, mine))
        authority.revoke(authority.issue("LAB09"))
        assert door.material.refresh()
        answer, _, went_on = await asyncio.to_thread(send_once, port, context, session)
        assert b"MSA|AA|" in answer
        assert not went_on


# ---------------------------------------------------------------------------- refused


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("none", "no_certificate"),
        ("expired", "expired"),
        ("early", "not_yet_valid"),
        ("revoked", "revoked"),
        ("other", "unknown_ca"),
        ("server's", "other"),
    ],
)
def test_a_wrong_certificate_is_counted_by_its_reason_and_told_nothing(
    tmp_path: Path, authority: Authority, case: str, reason: str, version: ssl.TLSVersion
) -> None:
    @on_uvloop
    async def check() -> None:
        context = client_context(authority, _shown(case, authority, tmp_path))
        context.minimum_version = context.maximum_version = version
        before = refused(reason)
        async with hub_door(tmp_path, authority, [lab_of(1)]) as door:
            assert await seen_by_the_peer(door, context) == "closed"
            await until(lambda: refused(reason) == before + 1 and door.open == 0)
            assert door.accepted == []

    check()


def _shown(case: str, authority: Authority, folder: Path) -> Issued | None:
    if case == "none":
        return None
    if case == "server's":
        return authority.server
    if case == "other":
        return Authority(folder / "other", "Other CA").issue("LAB01")
    if case == "expired":
        return authority.issue("LAB01", ends=-HOUR)
    issued = authority.issue("LAB01", starts=HOUR if case == "early" else -HOUR)
    if case == "revoked":
        authority.revoke(issued)
    return issued


@pytest.mark.parametrize("name", ["TLSv1", "TLSv1_1"])
@on_uvloop
async def test_old_protocol_versions_are_refused(
    tmp_path: Path, authority: Authority, name: str
) -> None:
    context = client_context(authority, authority.issue("LAB01"))
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion[name]
    before = refused("protocol_version")
    async with hub_door(tmp_path, authority) as door:
        assert await seen_by_the_peer(door, context) == "closed"
        await until(lambda: refused("protocol_version") == before + 1 and door.open == 0)


@pytest.mark.parametrize(
    "said",
    [FRAME % message_of("LAB01"), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x00" * 64],
    ids=["mllp", "http", "zeros"],
)
@on_uvloop
async def test_plain_text_on_the_tls_port_is_closed(
    tmp_path: Path, authority: Authority, said: bytes
) -> None:
    before = refused("not_tls")
    async with hub_door(tmp_path, authority) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.listener.port)
        writer.write(said)
        assert await is_closed(reader)
        await until(lambda: refused("not_tls") == before + 1 and door.open == 0)
        writer.close()


@on_uvloop
async def test_a_handshake_that_does_not_go_on_ends_by_its_limit(
    tmp_path: Path, authority: Authority
) -> None:
    before = refused("timeout")
    limits = HandshakeLimits(handshake_seconds=0.5)
    async with hub_door(tmp_path, authority, handshake=limits) as door:
        for said in (b"", b"\x16\x03\x01\x02"):
            reader, writer = await asyncio.open_connection("127.0.0.1", door.listener.port)
            writer.write(said)
            assert await is_closed(reader)
            writer.close()
        await until(lambda: refused("timeout") == before + 2 and door.open == 0)


@on_uvloop
async def test_a_reset_in_the_handshake_is_counted(tmp_path: Path, authority: Authority) -> None:
    before = refused("reset")
    async with hub_door(tmp_path, authority) as door:
        broken = socket.create_connection(("127.0.0.1", door.listener.port))
        broken.sendall(b"\x16\x03\x01\x02")
        await until(lambda: door.open == 1)
        broken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        broken.close()
        await until(lambda: refused("reset") == before + 1 and door.open == 0)


@on_uvloop
async def test_handshakes_count_against_the_limits_of_connections(
    tmp_path: Path, authority: Authority
) -> None:
    mine = authority.issue("LAB01")
    limits = ListenerLimits(max_connections=3)
    async with hub_door(tmp_path, authority, [lab_of(1, mine)], limits=limits) as door:
        silent = [await asyncio.open_connection("127.0.0.1", door.listener.port) for _ in range(3)]
        await until(lambda: door.open == 3)
        assert await seen_by_the_peer(door, client_context(authority, mine)) == "closed"
        for _, writer in silent:
            writer.close()
        await until(lambda: door.open == 0)
        async with client(door, mine) as hub:
            assert (await hub.send(message_of("LAB01"))).code == "AA"


@on_uvloop
async def test_a_laboratory_has_its_own_limit_of_connections(
    tmp_path: Path, authority: Authority
) -> None:
    mine, other = authority.issue("LAB01"), authority.issue("LAB02")
    labs = [lab_of(1, mine, limits=LabLimits(max_connections=1)), lab_of(2, other)]
    async with hub_door(tmp_path, authority, labs) as door:
        async with client(door, mine) as hub:
            assert (await hub.send(message_of("LAB01"))).code == "AA"
            async with client(door, mine) as second:
                turned_away = await second.send(message_of("LAB01"))
                assert turned_away.code == "AR"
                assert b"connection_limit_reached" in turned_away.raw
                with pytest.raises(TransientError, match="no_answer"):
                    await second.send(message_of("LAB01"))
            async with client(door, other) as another:
                assert (await another.send(message_of("LAB02"))).code == "AA"
        await until(lambda: door.open == 0)
        async with client(door, mine) as hub:
            assert (await hub.send(message_of("LAB01"))).code == "AA"


async def test_another_loop_than_uvloop_is_refused(tmp_path: Path, authority: Authority) -> None:
    door = HubDoor(tmp_path, authority)
    with pytest.raises(FatalError, match="tls_needs_uvloop"):
        await door.listener.start("127.0.0.1", 0, tls=door.door)
    await door.listener.stop(1.0)


def test_reasons_are_a_closed_set() -> None:
    assert len(REFUSALS) == len(set(REFUSALS)) == 12


# ---------------------------------------------------------------------------- while connected


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("expires", "certificate_expired"),
        ("on the list", "certificate_revoked"),
        ("in the register", "unknown_certificate"),
        ("suspended", "laboratory_suspended"),
        ("another's now", "unknown_certificate"),
    ],
)
def test_an_open_connection_ends_once_its_certificate_no_longer_holds(
    tmp_path: Path, authority: Authority, case: str, reason: str
) -> None:
    @on_uvloop
    async def check() -> None:
        mine, other = authority.issue("LAB01", ends=HOUR), authority.issue("LAB02")
        labs = [lab_of(1, mine), lab_of(2, other)]
        before = closed(reason)
        async with (
            hub_door(tmp_path, authority, labs, recheck_seconds=0.05) as door,
            client(door, mine) as hub,
            client(door, other) as honest,
        ):
            assert (await hub.send(message_of("LAB01"))).code == "AA"
            assert (await honest.send(message_of("LAB02"))).code == "AA"
            if case == "expires":
                door.clock.ahead = 2 * HOUR
            elif case == "on the list":
                authority.revoke(mine)
                assert door.material.refresh()
            elif case == "in the register":
                gone = LabCertificate(fingerprint=mine.peer.fingerprint, revoked=True)
                door.labs(
                    Lab(lab_id=1, registry_id="LAB01", certificates=(gone,)), lab_of(2, other)
                )
            elif case == "suspended":
                door.labs(replace(labs[0], state="suspended"), lab_of(2, other))
            else:
                door.labs(lab_of(1), lab_of(2, other, mine))
            await until(lambda: closed(reason) == before + 1)
            await until(lambda: door.open == 1)
            assert (await honest.send(message_of("LAB02", "C-2"))).code == "AA"

    check()


@on_uvloop
async def test_what_was_taken_is_answered_before_such_an_end(
    tmp_path: Path, authority: Authority
) -> None:
    mine = authority.issue("LAB01", ends=HOUR)
    async with hub_door(tmp_path, authority, [lab_of(1, mine)], recheck_seconds=0.05) as door:
        gate = asyncio.Event()
        append = door.log.append

        async def gated(records: object) -> list[int]:
            await gate.wait()
            return await append(records)  # type: ignore[arg-type]

        door.log.append = gated  # type: ignore[method-assign]
        before = closed("certificate_expired")
        async with client(door, mine) as hub:
            sending = asyncio.ensure_future(hub.send(message_of("LAB01")))
            await until(lambda: any(each._in_flight for each in door.listener._connections))
            door.clock.ahead = 2 * HOUR
            await until(lambda: closed("certificate_expired") == before + 1)
            gate.set()
            assert (await sending).code == "AA"
            await until(lambda: door.open == 0)


@on_uvloop
async def test_a_half_close_under_tls_still_gets_its_answer(
    tmp_path: Path, authority: Authority
) -> None:
    mine = authority.issue("LAB01")
    async with hub_door(tmp_path, authority, [lab_of(1, mine)]) as door:
        gate = asyncio.Event()
        append = door.log.append

        async def gated(records: object) -> list[int]:
            await gate.wait()
            return await append(records)  # type: ignore[arg-type]

        door.log.append = gated  # type: ignore[method-assign]
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = client_context(authority, mine).wrap_bio(
            incoming, outgoing, server_hostname="localhost"
        )
        reader, writer = await asyncio.open_connection("127.0.0.1", door.listener.port)

        async def step() -> None:
            writer.write(outgoing.read())
            incoming.write(await reader.read(65_536))

        async with asyncio.timeout(60):
            while True:
                try:
                    session.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    await step()
            session.write(FRAME % message_of("LAB01"))
            writer.write(outgoing.read())
            await until(lambda: any(each._in_flight for each in door.listener._connections))
            with pytest.raises(ssl.SSLWantReadError):
                session.unwrap()  # our close_notify; theirs comes after the answer
            writer.write(outgoing.read())
            await until(lambda: any(each._half_closed for each in door.listener._connections))
            gate.set()
            got = b""
            while b"\x1c\r" not in got:
                try:
                    got += session.read(65_536)
                except ssl.SSLWantReadError:
                    await step()
        assert b"MSA|AA|C-1" in got
        await until(lambda: door.open == 0)
        writer.close()


# ---------------------------------------------------------------------------- files that change


@on_uvloop
async def test_a_new_server_certificate_is_used_and_a_bad_file_is_not(
    tmp_path: Path, authority: Authority
) -> None:
    own = Authority(tmp_path / "own")
    mine = own.issue("LAB01")
    async with hub_door(tmp_path, own, [lab_of(1, mine)]) as door:

        async def served() -> bytes | None:
            _, writer = await asyncio.open_connection(
                "127.0.0.1", door.listener.port, ssl=client_context(own, mine)
            )
            found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            writer.close()
            assert found is None or isinstance(found, bytes)
            return found

        first = await served()
        fresh = own.issue("localhost", server=True)
        own.server.cert.write_bytes(fresh.cert.read_bytes())
        assert not door.material.refresh()  # the key is still the old one
        assert await served() == first
        own.server.key.write_bytes(fresh.key.read_bytes())
        assert door.material.refresh()
        assert await served() not in {first, None}
        own.crl.write_text("not a list")
        assert not door.material.refresh()
        assert await served() not in {first, None}


@on_uvloop
async def test_a_list_that_is_over_refuses_and_says_so(tmp_path: Path) -> None:
    own = Authority(tmp_path / "own")
    own.write_crl(ends=-HOUR)
    before = refused("crl_unusable")
    async with hub_door(tmp_path, own) as door:
        said = await seen_by_the_peer(door, client_context(own, own.issue("LAB01")))
        assert said == "closed"
        await until(lambda: refused("crl_unusable") == before + 1)
