"""`labdispatch sandbox`: a listener and a page, until Ctrl-C. No database, no log, no file."""

from __future__ import annotations

import asyncio
import sys
from typing import Final

import msgspec

from ingest.judge import LabProfile
from ingest.listener import ListenerLimits, MllpListener
from ops.check_routes import CheckLimits
from ops.printing import print_json
from ops.runtime.clock import SystemClock
from ops.runtime.lifecycle import stop_on_signals, until_first
from ops.runtime.logs import configure
from ops.runtime.settings import load_settings
from ops.second_opinion.asking import SecondOpinion
from ops.serving import bound_socket, serve_http
from schemas.errors import FatalError

from .door import SandboxDoor
from .routes import build_sandbox_api
from .second import SecondOpinions
from .sessions import SandboxLimits, Sessions

_SWEEP_SECONDS: Final = 60.0
_SHUTDOWN_SECONDS: Final = 4.0
_LIMITS: Final = ListenerLimits(max_connections=500, max_connections_per_address=100)
"""As the real listener's, but for fewer connections: it is one small process."""


class SandboxOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asked for."""

    host: str
    mllp_port: int
    http_port: int
    profile: str
    as_json: bool


class SandboxAddresses(msgspec.Struct, frozen=True, kw_only=True):
    """Where the sandbox listens, and the code of its own session."""

    ready: bool
    mllp: str
    http: str
    code: str
    page: str


async def run_sandbox(options: SandboxOptions) -> int:
    """Listen until told to stop; everything that came is forgotten then."""
    async with SecondOpinion() as second:
        return await _run(options, SecondOpinions(second))


async def _run(options: SandboxOptions, second: SecondOpinions) -> int:
    configure(load_settings(log_level="error", log_format="text"), "sandbox")
    stopping = stop_on_signals()
    clock = SystemClock()
    sessions = Sessions(clock, SandboxLimits())
    door = SandboxDoor(
        sessions,
        clock,
        LabProfile(name=options.profile),
        max_frame_bytes=_LIMITS.max_frame_bytes,
        second=second,
    )
    listener = MllpListener(door, _LIMITS)
    listening = bound_socket(options.host, options.http_port)
    try:
        await listener.start(options.host, options.mllp_port)
    except OSError:
        listening.close()
        raise FatalError(
            "port_busy", "the MLLP port is taken: end who has it, or set another --mllp-port"
        ) from None
    mllp = f"{_bracketed(options.host)}:{listener.port}"
    http = f"http://{_bracketed(options.host)}:{listening.getsockname()[1]}"
    application = build_sandbox_api(
        sessions, mllp, CheckLimits(body_bytes=_LIMITS.max_frame_bytes + 16)
    )
    _announce(options, mllp, http, sessions.own.code)
    try:
        await until_first(
            serve_http(application, listening, stopping, shutdown_seconds=_SHUTDOWN_SECONDS),
            _sweep(sessions),
        )
    finally:
        await listener.stop(_SHUTDOWN_SECONDS)
    return 0


async def _sweep(sessions: Sessions) -> None:
    while True:
        await asyncio.sleep(_SWEEP_SECONDS)
        sessions.sweep()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _announce(options: SandboxOptions, mllp: str, http: str, code: str) -> None:
    page = f"{http}/sandbox/{code}"
    if options.as_json:
        addresses = SandboxAddresses(ready=True, mllp=mllp, http=http, code=code, page=page)
        print_json(addresses)
    else:
        sys.stdout.write(
            "labdispatch sandbox: checks and answers as a hub in realm test; nothing goes on.\n"
            "Send no real patient's message.\n"
            f"  send to (MLLP)      {mllp}\n"
            f"  what came, and why  {page}\n"
            f"  the same as JSON    {http}/v1/sandbox/{code}\n"
            f"  a session of one's own (its code goes into MSH-6 or MSH-8)\n"
            f"                      curl -X POST {http}/v1/sandbox/sessions\n"
            "Kept in memory only, 24 hours at most: places, shapes and findings, no values.\n"
            "Ctrl-C ends it, and it forgets.\n"
        )
    sys.stdout.flush()
