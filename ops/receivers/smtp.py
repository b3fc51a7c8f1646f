"""One letter over SMTP (RFC 5321): greeting, TLS, who we are, from, to, data; the code it got.

A client of our own, for it must be cancellable at every step (what sends is stopped at once when
another process leads), and must read no more than it may. No text of the server is kept.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from routing.pushing import Answer, Outcome, Protocol

_LINE: Final = re.compile(rb"([2-5][0-9]{2})([ -]).*")
_MAX_LINES: Final = 100
_MAX_LINE_BYTES: Final = 2_048
_BUSY: Final = 421
"""Service not available, closing: in any state (RFC 5321, 3.8)."""


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """Where letters are handed in, and as whom."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    """None: clear text, on this machine alone."""
    user: str
    password: str
    hello: str
    """The name we greet with: the domain of our address."""

    def __repr__(self) -> str:
        """Return the type's name alone: it holds a password."""
        return "<Post withheld>"


class _Refused(Exception):
    def __init__(self, code: int, *, about_letter: bool) -> None:
        super().__init__()
        self.code = code
        self.about_letter = about_letter


async def hand_in(post: Post, sender: str, recipient: str, content: bytes) -> Answer:
    """Hand one letter in; return what the server said.

    Args:
        post: Where.
        sender: MAIL FROM; checked by the caller, as the recipient is.
        recipient: RCPT TO.
        content: With CRLF line ends.
    """
    try:
        async with _connected(post) as (reader, writer):
            await _greet(post, reader, writer)
            await _ask(reader, writer, f"MAIL FROM:<{sender}>")
            await _ask(reader, writer, f"RCPT TO:<{recipient}>", about_letter=True)
            await _ask(reader, writer, "DATA", wanted=354, about_letter=True)
            stuffed = re.sub(rb"(?m)^\.", b"..", content)
            end = b".\r\n" if stuffed.endswith(b"\r\n") else b"\r\n.\r\n"
            writer.write(stuffed + end)
            await writer.drain()
            code = await _expect(reader, 250, about_letter=True)
            with contextlib.suppress(OSError, _Refused, asyncio.IncompleteReadError, TimeoutError):
                async with asyncio.timeout(1.0):  # taken is taken, whatever it says of QUIT
                    await _ask(reader, writer, "QUIT", wanted=221)
    except _Refused as refused:
        return _answer(refused)
    except ssl.SSLError:
        return _away("tls_refused")
    except ConnectionRefusedError:
        return _away("no_connection")
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
        return _away("connection_broken")
    return Answer(outcome=Outcome.ACCEPTED, protocol=Protocol.SMTP, code=str(code))


@asynccontextmanager
async def _connected(
    post: Post,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(
        post.host, post.port, ssl=post.tls, limit=_MAX_LINE_BYTES,
        server_hostname=post.host if post.tls else None,
    )  # fmt: skip
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def _greet(post: Post, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _expect(reader, 220)
    await _ask(reader, writer, f"EHLO {post.hello}")
    if post.user:
        told = base64.b64encode(f"\0{post.user}\0{post.password}".encode()).decode()
        await _ask(reader, writer, f"AUTH PLAIN {told}", wanted=235)


async def _ask(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    line: str,
    *,
    wanted: int = 250,
    about_letter: bool = False,
) -> int:
    assert line.isprintable(), "one command a line"
    writer.write(line.encode("ascii") + b"\r\n")
    await writer.drain()
    return await _expect(reader, wanted, about_letter=about_letter)


async def _expect(reader: asyncio.StreamReader, wanted: int, *, about_letter: bool = False) -> int:
    """Read a reply of any number of lines; raise where it is of another class than wanted."""
    for _ in range(_MAX_LINES):
        found = _LINE.fullmatch((await reader.readuntil(b"\n")).rstrip(b"\r\n"))
        if found is None:
            raise ValueError
        if found[2] == b" ":
            code = int(found[1])
            if code // 100 != wanted // 100:
                raise _Refused(code, about_letter=about_letter)
            return code
    raise ValueError


def _answer(refused: _Refused) -> Answer:
    """Return what a refusal means: of this letter, or of us (greeting, AUTH, MAIL FROM, 421)."""
    whole = not refused.about_letter or refused.code == _BUSY
    permanent = refused.code >= 500 and not whole
    return Answer(
        outcome=Outcome.PERMANENT if permanent else Outcome.TRANSIENT,
        protocol=Protocol.SMTP,
        code=str(refused.code),
        whole=whole,
        busy=whole and refused.code < 500,
    )


def _away(code: str) -> Answer:
    return Answer(outcome=Outcome.TRANSIENT, protocol=Protocol.HUB, code=code, whole=True)
