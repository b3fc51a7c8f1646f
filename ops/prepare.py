"""From a log record to what dispatch can decide on: opened, decoded, keys derived; no database.

A record that cannot be opened or mapped is not an exception here but an outcome: it parks alone.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from dedup.identity import PersonKeys
from dedup.key_function import KeyFunction
from ingest.judge import LabProfile, map_again
from schemas.envelope import (
    MAPPING_VERSION,
    AcceptedMessage,
    RecordKind,
    ReplayInstruction,
    Software,
    StoredRecord,
)
from schemas.errors import PermanentError, pure_step
from schemas.finding import Finding
from schemas.outcome import Outcome, Parked, ParkReason, Refused
from schemas.patient import Traits
from schemas.report import MappedMessage


class Opener(Protocol):
    """What opens a sealed payload (ops/runtime/vault.py)."""

    def open(self, sealed: bytes, associated: bytes) -> bytes:
        """Return the plaintext, or raise `PermanentError` when its key is gone."""
        ...


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A record ready for the transaction.

    Exactly one of `outcome` (already decided) and `mapped` is set. `settles` is the place of the
    record that a replay does again.
    """

    record: StoredRecord
    source: StoredRecord
    """The record whose content this is: itself, or the original of a replay."""
    outcome: Outcome | None = None
    mapped: MappedMessage | None = None
    keys: PersonKeys | None = None
    findings: tuple[Finding, ...] = ()
    software: Software = Software()
    settles: tuple[int, int] | None = None
    door: MappedMessage | None = None
    """What the door made of it, where it is mapped otherwise now."""


class Preparer:
    """Opens payloads and derives keys.

    Args:
        opener: The vault.
        keys: The key function of the instance.
    """

    def __init__(self, opener: Opener, keys: KeyFunction) -> None:
        self._opener = opener
        self.keys = keys

    def prepare(self, record: StoredRecord, profile: LabProfile | None = None) -> Prepared | None:
        """Prepare one record of kind MESSAGE or REFUSED; never raises for what is in it.

        None where another version mapped it and no `profile` was given: ask again with that of its
        laboratory.
        """
        try:
            with pure_step():
                return self._prepare(record, record, profile, again=False)
        except PermanentError as error:
            return _park(record, error)

    def prepare_again(self, record: StoredRecord, profile: LabProfile) -> Prepared:
        """Prepare a record with today's mapping and profile, whatever mapped it before."""
        try:
            with pure_step():
                prepared = self._prepare(record, record, profile, again=True)
        except PermanentError as error:
            return _park(record, error)
        assert prepared is not None, "a profile was given"
        return prepared

    def prepare_replay(
        self, record: StoredRecord, original: StoredRecord | None, profile: LabProfile
    ) -> Prepared:
        """Prepare a replay of `original` (None: it is gone) with today's mapping and profile."""
        try:
            with pure_step():
                return self._prepare_replay(record, original, profile)
        except PermanentError as error:
            return _park(record, error)

    def prepare_waiting(self, record: StoredRecord) -> Prepared:
        """Park what a paused laboratory sent, unread: it keeps its place, and is done again."""
        settles = None
        if record.kind is RecordKind.REPLAY:
            try:
                instruction = self.read_instruction(record)
                settles = (instruction.partition, instruction.offset)
            except PermanentError:
                settles = None
        parked = Parked(reason=ParkReason.LABORATORY_PAUSED)
        return Prepared(record=record, source=record, outcome=parked, settles=settles)

    def keys_of(self, traits: Traits, version: int | None = None) -> PersonKeys:
        """Return the keys of a set of traits, of the newest version unless another is asked for."""
        return self.keys.derive(traits, version)

    def _prepare_replay(
        self, record: StoredRecord, original: StoredRecord | None, profile: LabProfile
    ) -> Prepared:
        instruction = self.read_instruction(record)
        place = (instruction.partition, instruction.offset)
        if original is None:
            gone = Parked(reason=ParkReason.UNREADABLE_PAYLOAD, code="original_gone")
            return Prepared(record=record, source=record, settles=place, outcome=gone)
        try:
            with pure_step():
                prepared = self._prepare(record, original, profile, again=True)
            assert prepared is not None, "a profile was given"
        except PermanentError as error:
            prepared = _park(record, error)
        return msgspec.structs.replace(prepared, settles=place)

    def read_instruction(self, record: StoredRecord) -> ReplayInstruction:
        """Open a replay record.

        Raises:
            PermanentError: Its key is gone or it is not one.
        """
        plaintext = self._opener.open(record.payload, record.message_id.bytes)
        try:
            return msgspec.msgpack.decode(plaintext, type=ReplayInstruction)
        except msgspec.MsgspecError:
            raise PermanentError("unreadable_payload", "not a replay instruction") from None

    def _prepare(
        self,
        record: StoredRecord,
        source: StoredRecord,
        profile: LabProfile | None,
        *,
        again: bool,
    ) -> Prepared | None:
        held = AcceptedMessage.from_bytes(
            self._opener.open(source.payload, source.message_id.bytes)
        )
        if source.kind is RecordKind.REFUSED:
            return Prepared(
                record=record,
                source=source,
                outcome=_refused(held),
                findings=held.findings,
                software=held.software,
            )
        mapped: MappedMessage | Finding | None = held.mapped or held.unmappable
        if again or held.mapping_version != MAPPING_VERSION:
            if profile is None:
                return None
            mapped = map_again(held.raw, profile)
        # What another version of ours mapped is never read back as that version mapped it.
        is_of_today = held.mapping_version == MAPPING_VERSION
        door = held.mapped if is_of_today and held.mapped != mapped else None
        if mapped is None:
            raise PermanentError("unreadable_payload", "neither mapped nor unmappable")
        if isinstance(mapped, Finding):
            parked = Parked(reason=ParkReason.UNMAPPABLE, code=mapped.code, place=mapped.place)
            return Prepared(
                record=record,
                source=source,
                outcome=parked,
                findings=held.findings,
                software=held.software,
            )
        return Prepared(
            record=record,
            source=source,
            mapped=mapped,
            keys=self.keys_of(mapped.traits),
            findings=held.findings,
            software=held.software,
            door=door,
        )


def _park(record: StoredRecord, error: PermanentError) -> Prepared:
    unexpected = error.reason == "unexpected"
    parked = Parked(
        reason=ParkReason.UNEXPECTED if unexpected else ParkReason.UNREADABLE_PAYLOAD,
        code=error.remedy if unexpected else error.reason,
    )
    return Prepared(record=record, source=record, outcome=parked)


def _refused(held: AcceptedMessage) -> Refused:
    first = held.findings[0] if held.findings else None
    if first is None:
        return Refused(reason="refused")
    return Refused(reason=first.code, place=first.place)
