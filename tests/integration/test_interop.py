"""Three senders that laboratories use, each with its own client, in clear text and mutual TLS.

HAPI HL7v2 (Java), python-hl7 and node-hl7-client (Node.js). Each sends twenty messages and must
understand every answer. A missing Java, Maven, Node.js or npm fails and says what to install.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import hl7
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from hl7.client import MLLPClient

from ops.kit import KitMissing, java
from tests.support.certificates import Authority, Issued, client_context
from tests.support.hapi import resolve as hapi
from tests.support.node import resolve as node
from tests.support.tls_door import HubDoor, lab_of, message_of, on_uvloop

MESSAGES: Final = 20
PASSWORD: Final = b"changeit"


class Sender:
    """What a client program needs: where, what, and its proof."""

    def __init__(self, folder: Path, door: HubDoor, mine: Issued, *, tls: bool) -> None:
        self.folder, self.door, self.mine, self.tls = folder, door, mine, tls
        self.port = door.listener.port
        self.messages = [message_of("LAB01", f"C-{number}") for number in range(MESSAGES)]


async def _run(command: list[str], text: str, folder: Path) -> list[tuple[str, str]]:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=folder,
    )
    try:
        async with asyncio.timeout(150):
            out, err = await process.communicate(text.encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, err.decode()[-2_000:]
    lines = [line.split("\t") for line in out.decode().splitlines() if "\t" in line]
    return [(code, control_id) for code, control_id in lines]


async def with_hapi(sender: Sender) -> list[tuple[str, str]]:
    stores = []
    if sender.tls:
        key = serialization.load_pem_private_key(sender.mine.key.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        ca = sender.door.authority.certificate
        own, trusted = sender.folder / "own.p12", sender.folder / "trusted.p12"
        encryption = serialization.BestAvailableEncryption(PASSWORD)
        own.write_bytes(
            pkcs12.serialize_key_and_certificates(
                b"own",
                key,
                sender.mine.certificate,
                [ca],
                encryption,
            )
        )
        trust = pkcs12.PKCS12Certificate(x509.load_pem_x509_certificate(
            sender.door.authority.ca.read_bytes()), b"ca")  # fmt: skip
        trusted.write_bytes(pkcs12.serialize_java_truststore([trust], encryption))
        for name, store in (("keyStore", own), ("trustStore", trusted)):
            stores += [
                f"-Djavax.net.ssl.{name}={store}",
                f"-Djavax.net.ssl.{name}Type=PKCS12",
                f"-Djavax.net.ssl.{name}Password={PASSWORD.decode()}",
            ]
    jars = await asyncio.to_thread(hapi.resolve)
    command = [
        java(), *stores, "-cp", f"{jars}/*", str(hapi.HERE / "SendMessages.java"),
        str(sender.port), "tls" if sender.tls else "clear",
    ]  # fmt: skip
    lines = "".join(b64encode(each).decode() + "\n" for each in sender.messages)
    return await _run(command, lines, sender.folder)


async def with_node(sender: Sender) -> list[tuple[str, str]]:
    await asyncio.to_thread(node.resolve)
    issued, ca = sender.mine, sender.door.authority.ca
    proof = {"ca": str(ca), "cert": str(issued.cert), "key": str(issued.key)}
    order = {
        "port": sender.port,
        "messages": [each.decode() for each in sender.messages],
        "tls": proof if sender.tls else None,
    }
    return await _run([node.node(), str(node.SENDER)], json.dumps(order), sender.folder)


async def with_python_hl7(sender: Sender) -> list[tuple[str, str]]:
    def send() -> list[tuple[str, str]]:
        answers = []
        with MLLPClient("127.0.0.1", sender.port) as client:
            client.socket.settimeout(60)
            if sender.tls:
                context = client_context(sender.door.authority, sender.mine)
                client.socket = context.wrap_socket(client.socket, server_hostname="localhost")
            for each in sender.messages:
                answer = hl7.parse(client.send_message(each).strip(b"\x0b\x1c\r").decode())
                msa = answer.segment("MSA")
                answers.append((str(msa[1]), str(msa[2])))
        return answers

    return await asyncio.to_thread(send)


CLIENTS: Final[dict[str, Callable[[Sender], Awaitable[list[tuple[str, str]]]]]] = {
    "hapi": with_hapi,
    "node-hl7-client": with_node,
    "python-hl7": with_python_hl7,
}


@asynccontextmanager
async def opened(folder: Path, *, tls: bool) -> AsyncIterator[Sender]:
    authority = Authority(folder / "ca")
    mine = authority.issue("LAB01")
    door = HubDoor(folder, authority)
    door.labs(lab_of(1, mine))
    door.appender.start()
    await door.listener.start("127.0.0.1", 0, tls=door.door if tls else None)
    try:
        yield Sender(folder, door, mine, tls=tls)
    finally:
        await door.listener.stop(10)
        await door.appender.stop()


@pytest.mark.parametrize("tls", [False, True], ids=["clear", "mutual-tls"])
@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_of_the_field_sends_and_understands(
    tmp_path: Path, client: str, tls: bool
) -> None:
    @on_uvloop
    async def check() -> None:
        async with opened(tmp_path, tls=tls) as sender:
            answers = await CLIENTS[client](sender)
            assert answers == [("AA", f"C-{number}") for number in range(MESSAGES)]
            assert len(sender.door.accepted) == MESSAGES

    check()


def test_a_missing_node_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(KitMissing, match="apt-get install nodejs npm"):
        node.node()
