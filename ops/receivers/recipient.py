"""An event of public health for a recipient of a purpose of its own; pure but for the keys.

Promise: ids, pseudonyms and cases are the purpose's own, and place, time and order of the event, by
which two recipients could join what they hold, are left out. What the row says of the analysis
stays as it is: who holds both can still compare rows of one day and place.
"""

from __future__ import annotations

import hmac
from typing import Any, Final
from uuid import UUID

import msgspec

from routing.pseudonym import PeriodKeys, handed_on, repseudonymised
from schemas.errors import PermanentError
from schemas.events import EventKind, PseudonymReplaced, PublicHealthRow, StreamEvent
from schemas.ids import id_of
from schemas.topics import Stream

_REPLACED: Final = "pseudonym_replaced"


class RecipientEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What such a recipient gets: the highest `event_version` of a (`report_id`, `part`) wins."""

    event_id: UUID
    stream: Stream
    report_id: UUID
    part: str
    event_version: int
    kind: EventKind
    reason: str
    realm: str
    rule: str
    rule_version: str
    body: Any = None


class _Record(msgspec.Struct):
    record: str = ""


class Recipient:
    """Makes events for one purpose.

    Args:
        purpose: Of whoever gets them; those of one purpose may join what they hold.
        keys: Of pseudonyms.
        secret: Of the purpose, lasting: a report keeps its id over every period.
    """

    def __init__(self, purpose: str, keys: PeriodKeys, secret: bytes) -> None:
        self._purpose = f"receiver.{purpose}"
        self._keys = keys
        self._secret = secret

    def event_for(self, event: StreamEvent) -> RecipientEvent:
        """Return an event as the recipient gets it.

        Raises:
            PermanentError: `body_unknown`: its body is none that may be handed on.
        """
        return RecipientEvent(
            event_id=self._own(b"event", event.event_id),
            stream=event.stream,
            report_id=self._own(b"report", event.report_id),
            part=event.part,
            event_version=event.event_version,
            kind=event.kind,
            reason=event.reason,
            realm=event.realm,
            rule=event.rule,
            rule_version=event.rule_version,
            body=None if event.body is None else self._body(event.body),
        )

    def _body(self, body: msgspec.Raw) -> PublicHealthRow | PseudonymReplaced:
        try:
            if msgspec.json.decode(body, type=_Record).record == _REPLACED:
                return self._replaced(msgspec.json.decode(body, type=PseudonymReplaced))
            row = msgspec.json.decode(body, type=PublicHealthRow)
        except msgspec.MsgspecError:
            raise PermanentError("body_unknown", "this release hands on no such body") from None
        return repseudonymised(row, self._keys, self._purpose)

    def _replaced(self, told: PseudonymReplaced) -> PseudonymReplaced:
        old, new = (
            handed_on(each, told.period, self._keys, self._purpose) for each in (told.old, told.new)
        )
        return PseudonymReplaced(old=old, new=new, period=told.period)

    def _own(self, use: bytes, known: UUID) -> UUID:
        return id_of(hmac.digest(self._secret, use + known.bytes, "sha256")[:16])
