"""A TLS door: it accepts by itself, so each handshake is bounded, paced and counted by its reason.

A peer that is refused sees its connection end and nothing else: no alert says why. We learn why
from the exception of the handshake, which uvloop gives to `connect_accepted_socket` alone (with
`create_server(ssl=...)` it is dropped).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from typing import Any, Final, Literal, Protocol, cast, get_args

import msgspec

from schemas.errors import FatalError

from .accepting import Accepting, Pace, at_once
from .hellos import Hello, Hellos, Peered
from .metrics import METRICS
from .shaking import Shaking
from .tls import TlsMaterial

Refusal = Literal[
    "no_certificate",
    "unknown_ca",
    "expired",
    "not_yet_valid",
    "revoked",
    "crl_unusable",
    "protocol_version",
    "not_tls",
    "peer_refused_us",
    "timeout",
    "reset",
    "other",
]
REFUSALS: Final[tuple[Refusal, ...]] = get_args(Refusal)

# X509_V_ERR_* of OpenSSL's x509_vfy.h.
_BY_VERIFY_CODE: Final[dict[int, Refusal]] = {
    2: "unknown_ca", 18: "unknown_ca", 19: "unknown_ca", 20: "unknown_ca", 21: "unknown_ca",
    24: "unknown_ca", 7: "unknown_ca",
    9: "not_yet_valid",
    10: "expired",
    23: "revoked",
    3: "crl_unusable", 8: "crl_unusable", 11: "crl_unusable", 12: "crl_unusable",
    44: "crl_unusable",
}  # fmt: skip
_BY_REASON: Final[dict[str, Refusal]] = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "no_certificate",
    "UNSUPPORTED_PROTOCOL": "protocol_version",
    "VERSION_TOO_LOW": "protocol_version",
    "NO_PROTOCOLS_AVAILABLE": "protocol_version",
    "WRONG_VERSION_NUMBER": "not_tls",
    "WRONG_SSL_VERSION": "not_tls",
    "HTTP_REQUEST": "not_tls",
    "HTTPS_PROXY_REQUEST": "not_tls",
    "UNKNOWN_PROTOCOL": "not_tls",
    "PACKET_LENGTH_TOO_LONG": "not_tls",
    "RECORD_LENGTH_MISMATCH": "not_tls",
    "RECORD_TOO_SMALL": "not_tls",
    "BAD_RECORD_TYPE": "not_tls",
}
_ALERT: Final = "ALERT"
_ACCEPTS_PER_TURN: Final = 16
_SAID_BYTES: Final = 4_096
_SLOW_EACH: Final = 16
"""One that is cut to make room has had eight seconds: as many become slow in that time."""


def refusal_of(error: BaseException) -> Refusal:
    """Say in one word of a closed set why a handshake failed at the server."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _BY_VERIFY_CODE.get(error.verify_code, "other")
    if isinstance(error, ssl.SSLError):
        reason = error.reason or ""
        if reason in _BY_REASON:
            return _BY_REASON[reason]
        if _ALERT in reason:
            # The peer's own words: it does not trust us, or wants what we do not speak.
            return "protocol_version" if "PROTOCOL_VERSION" in reason else "peer_refused_us"
        return "reset" if isinstance(error, ssl.SSLEOFError) else "other"
    if isinstance(error, ConnectionAbortedError | TimeoutError):
        return "timeout"
    if isinstance(error, OSError):
        return "reset"
    return "other"


class HandshakeLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a handshake may take; each is a setting."""

    handshake_seconds: float = 10.0
    shutdown_seconds: float = 5.0
    handshakes_per_turn: int = 2
    """Those that begin in one turn of the loop: what a storm may delay everybody else by."""
    handshakes_at_once: int = 16
    """Those that may take their next step in the same turn; of slow ones 16 times as many."""


class Host(Protocol):
    """Who owns the peers of a TLS door."""

    def admit_address(self, address: str) -> Peered | None:
        """Count a peer in before it costs anything; None turns it away."""
        ...


class TlsServer(Accepting):
    """Accepts on a listening socket and shakes hands; what comes through belongs to its host.

    Args:
        listening: Bound, listening, not blocking; closed by `close`.
        material: The context in use.
        host: Who counts peers in and out.
        door: Name in the figures: mllp or http.
        limits: What a handshake may take.
        pace: Says how long to take nobody; those who come wait in the backlog meanwhile.
    The loop has to be uvloop's (`needs_uvloop`).
    """

    def __init__(
        self,
        listening: socket.socket,
        material: TlsMaterial,
        host: Host,
        *,
        door: str,
        limits: HandshakeLimits,
        pace: Pace = at_once,
    ) -> None:
        super().__init__(listening, pace, _ACCEPTS_PER_TURN)
        self._material = material
        self._host = host
        self._door = door
        self._limits = limits
        self._shaking = Shaking(
            self._loop,
            most=limits.handshakes_at_once,
            most_slow=_SLOW_EACH * limits.handshakes_at_once,
            cut=lambda task: cast("asyncio.Task[Any]", task).cancel(),
            go_on=self._go_on,
        )
        self._hellos = Hellos(
            self._loop,
            per_turn=limits.handshakes_per_turn,
            may_begin=self._shaking.has_room,
            begin=self._begin,
            refuse=self._turn_away,
        )

    def _go_on(self) -> None:
        self._hellos.go_on()

    def close(self) -> None:
        """Take no new peer, and let go of those whose handshake is not done."""
        super().close()
        for hello in self._hellos.close():
            self._let_go(hello)

    def _take(self, taken: socket.socket, address: Any) -> bool:
        name = str(address[0])
        peer = self._host.admit_address(name)
        if peer is None:
            return False
        METRICS.tls_handshaking.inc()
        until = self._loop.time() + self._limits.handshake_seconds
        self._hellos.add(Hello(taken, name, peer, until))
        return True

    def _turn_away(self, hello: Hello, reason: Refusal) -> None:
        with contextlib.suppress(OSError):
            # What is closed with something unread is reset: a plain end tells a peer less.
            hello.taken.recv(_SAID_BYTES)
        self._refuse(hello, reason)

    def _refuse(self, hello: Hello, reason: Refusal) -> None:
        METRICS.tls_refused.labels(self._door, reason).inc()
        self._let_go(hello)

    def _let_go(self, hello: Hello) -> None:
        METRICS.tls_handshaking.dec()
        hello.peer.refused()
        with contextlib.suppress(OSError):
            hello.taken.close()

    def _begin(self, hello: Hello) -> None:
        task = self._bring(self._shake(hello))
        self._shaking.enter(task)
        task.add_done_callback(lambda done: self._end(hello, done))

    async def _shake(self, hello: Hello) -> Refusal | None:
        """Return why it failed, or None."""
        since = self._loop.time()
        try:
            transport, _ = await self._loop.connect_accepted_socket(
                hello.peer.protocol,
                hello.taken,
                ssl=self._material.context,
                # From here on: that it stood in line was not the peer's doing.
                ssl_handshake_timeout=self._limits.handshake_seconds,
                ssl_shutdown_timeout=self._limits.shutdown_seconds,
            )
        except Exception as error:  # noqa: BLE001 - boundary: one peer's handshake
            return refusal_of(error)
        METRICS.tls_handshake_seconds.observe(self._loop.time() - since)
        # uvloop ends the wait of a peer that went away without an error.
        return None if transport.get_extra_info("ssl_object") is not None else "reset"

    def _end(self, hello: Hello, task: asyncio.Task[Refusal | None]) -> None:
        self._shaking.leave(task)
        # One that was cut may not have had its first step.
        refused = "timeout" if task.cancelled() else task.result()
        if refused is None:
            METRICS.tls_handshaking.dec()
        else:
            self._refuse(hello, refused)


def needs_uvloop() -> None:
    """Refuse a TLS door on another loop: stdlib asyncio keeps memory for each failed handshake.

    Raises:
        FatalError: The running loop is not uvloop's (`tls_needs_uvloop`).
    """
    if type(asyncio.get_running_loop()).__module__.partition(".")[0] != "uvloop":
        raise FatalError("tls_needs_uvloop", "start the process by `labdispatch`, on uvloop")
