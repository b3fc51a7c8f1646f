"""What answers the sandbox's listener: the verdict and the answer of the real door, and no log.

A message belongs to the session whose code stands in MSH-6 (receiving facility), else in MSH-8
(security), else to the sandbox's own session. Both are fields that a sender sets and no check of
ours reads; the acknowledgement is that of a hub in every byte but MSH-7.
"""

from __future__ import annotations

from typing import Final

from ingest.accept import Answer, Receipt
from ingest.ack import build_acks
from ingest.er7 import header_line
from ingest.fairness import Line
from ingest.judge import LabProfile
from ingest.lab import Peer
from ops.checking.entries import Options, entry_of, verdict_of
from ops.checking.wording import LANGUAGES
from ops.runtime.clock import Clock
from ops.splitting import Part
from schemas.decision import Realm
from schemas.errors import PermanentError

from .second import SecondOpinions
from .sessions import Session, Sessions

_CODE_FIELDS: Final = (5, 7)
"""MSH-6 and MSH-8 in a header that was split: MSH-1 is the separator itself."""
_ANSWER_BYTES: Final = 16 * 1024


class SandboxDoor:
    """Judges and answers as a hub in realm test does to a laboratory in `onboarding`.

    Args:
        sessions: Where what was found is kept.
        clock: Time of the answers.
        profile: Conventions to judge by.
        max_frame_bytes: Of the listener.
        second: Has a second opinion; None for none.
    """

    def __init__(
        self,
        sessions: Sessions,
        clock: Clock,
        profile: LabProfile,
        *,
        max_frame_bytes: int,
        second: SecondOpinions | None = None,
    ) -> None:
        self._second = second
        self._sessions = sessions
        self._clock = clock
        self._options = Options(
            profile=profile, realm=Realm.TEST, max_message_bytes=max_frame_bytes
        )

    def receive(
        self,
        raw: bytes,
        peer: Peer | None = None,  # noqa: ARG002 - speaks to all
        line: Line | None = None,  # noqa: ARG002 - has no limits of a laboratory
    ) -> Receipt:
        """Answer one message at once. Never raises."""
        return Receipt(self._answered(Part(raw=raw, lines=_lines(raw))))

    def turn_away(self, reason: str, head: bytes) -> Receipt | None:
        """Answer a frame that was not taken whole, if its header can be read; None otherwise."""
        part = Part(raw=head, lines=_lines(head), fault=reason)
        answer = self._answered(part)
        return Receipt(answer) if answer.parts else None

    def _answered(self, part: Part) -> Answer:
        verdict = verdict_of(part, self._options)
        parts: tuple[bytes, ...] = ()
        if verdict.ruling is not None:
            parts = build_acks(
                verdict.header,
                verdict.ruling,
                verdict.findings,
                at=self._clock.now(),
                wants_no_answer=False,
            )
        session = session_of(part.raw, self._sessions)
        entries = {
            language: entry_of(
                part,
                "mllp",
                session.received + 1,
                _in(self._options, language),
                verdict,
            )
            for language in LANGUAGES
        }
        exchange = self._sessions.keep(session, entries, _shown(parts))
        if self._second is not None and not part.fault:
            self._second.ask(part.raw, exchange)
        return Answer(parts=parts)


def session_of(raw: bytes, sessions: Sessions) -> Session:
    """Return the session that a message belongs to."""
    try:
        line, _ = header_line(raw)
    except PermanentError:
        return sessions.own
    fields = line.split(line[3:4] or b"|", 9)
    for number in _CODE_FIELDS:
        if number < len(fields) and 0 < len(fields[number]) <= 200:
            session = sessions.get(fields[number].partition(b"^")[0].decode("ascii", "replace"))
            if session is not None:
                return session
    return sessions.own


def _in(options: Options, language: str) -> Options:
    return Options(
        profile=options.profile,
        realm=options.realm,
        language=language,
        max_message_bytes=options.max_message_bytes,
    )


def _lines(raw: bytes) -> range:
    return range(1, raw.count(b"\r") + raw.count(b"\n") - raw.count(b"\r\n") + 2)


def _shown(parts: tuple[bytes, ...]) -> str:
    """Return the answers as text, a segment a line, bounded."""
    return b"".join(parts)[:_ANSWER_BYTES].decode("utf-8", "replace").replace("\r", "\n")
