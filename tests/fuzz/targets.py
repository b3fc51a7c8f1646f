"""What is fuzzed, and what must hold for any bytes: one function a target, that raises if not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from ingest import reading
from ingest.ack import build_acks
from ingest.er7 import Message, read
from ingest.header import Header, read_header
from ingest.judge import LabProfile, Ruling, judge
from ingest.mapping import map_message, map_raw
from ingest.mllp import Frame, Framer, wrap
from schemas.decision import Realm
from schemas.envelope import AcceptedMessage
from schemas.errors import PermanentError
from schemas.finding import Finding

CORPUS: Final = Path(__file__).with_name("corpus")
SLOW_SECONDS: Final = 0.1
"""No input of a fuzzer's size may take longer."""
_AT: Final = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)
_PROFILE: Final = LabProfile()
_LIMIT: Final = 1_000


def framer(stream: bytes) -> None:
    """Any split gives the same frames, and no more than the limit is held."""
    whole = Framer(_LIMIT).feed(stream)
    split = Framer(_LIMIT)
    found, at = [], 0
    for step in stream[:64]:
        found += split.feed(stream[at : at + step % 17 + 1])
        at += step % 17 + 1
    found += split.feed(stream[at:])
    assert found == whole, "the packets decide what the frames are"
    assert len(split._buffer) <= _LIMIT + 3, "more is held than a frame may be"
    for each in whole:
        if isinstance(each, Frame):
            _expect(Framer(_LIMIT).feed(wrap(each.payload)) == [each], "a frame is not one again")


def reader(raw: bytes) -> None:
    """What is read is written the same; what cannot be read says why."""
    header = read_header(raw)
    message = _read(raw)
    if message is None:
        return
    _expect(message.encode() == raw, "what was read is not what is written")
    for segment in message.segments:
        for number, field in enumerate(segment.fields()):
            message.text(field)
            segment.component(number, 2)
    last = len(message.segments) - 1
    if last > 0:
        line = message.segments[last].with_component(3, 1, 1, raw.decode("latin-1")[:200])
        _expect(not {"\r", "\n", "\x0b", "\x1c"} & set(line), "a value left its place")
        try:
            changed = message.encode({last: line})
        except PermanentError as error:
            _expect(error.reason == "unencodable_text", error.reason)
            return
        again = _read(changed)
        if again is None or again.charset != message.charset:
            # Where none is declared, it is guessed: perhaps by a letter that went.
            return
        _expect(len(again.segments) == len(message.segments), "a value became a segment")
    if isinstance(header, Header):
        known = read(raw, start=header.start)
        _expect(
            [each.line for each in known.segments] == [each.line for each in message.segments],
            "the header led to another reading",
        )


def mapping(raw: bytes) -> None:
    """What is read is mapped or refused with a reason; the answer is one frame and reads back."""
    message = _read(raw)
    if message is not None:
        mapped, findings = map_message(message)
        _expect(map_raw(raw) == mapped, "mapped twice, another report")
        reading._catalogue.cache_clear()
        _expect(map_message(message) == (mapped, findings), "what was read before told")
        _expect(not isinstance(mapped, Finding) or bool(mapped.code and mapped.text), "no reason")
        if not isinstance(mapped, Finding):
            held = AcceptedMessage(
                raw=raw, control_id="", mapping_version=1, profile_version=1, answer="AA",
                mapped=mapped, findings=findings,
            )  # fmt: skip
            _expect(AcceptedMessage.from_bytes(held.to_bytes()) == held, "not kept as it was")
    header = read_header(raw)
    shown = header if isinstance(header, Header) else header.header
    ruling = Ruling.REJECT
    told: tuple[Finding, ...] = ()
    if isinstance(header, Header):
        judgement = judge(raw, header, _PROFILE, Realm.TEST)
        ruling, told = judgement.ruling, judgement.findings
        _expect(
            (ruling is Ruling.ACCEPT)
            == (judgement.mapped is not None or judgement.unmappable is not None),
            "accepted without an outcome",
        )
        unexpected = judgement.unmappable is not None and judgement.unmappable.code == "unexpected"
        _expect(not unexpected, "an unclassified error was hidden")
    for answer in build_acks(shown, ruling, told, at=_AT, wants_no_answer=False):
        _expect(Framer(1 << 20).feed(wrap(answer)) == [Frame(answer)], "an answer is not a frame")
        _expect(not {0x0A, 0x0B, 0x1C} & set(answer), "an answer holds an end")
        names = [line[:3] for line in answer.split(b"\r")]
        _expect(
            names[:2] == [b"MSH", b"MSA"] and set(names[2:]) <= {b"ERR", b""},
            "an answer holds a segment that is not ours",
        )


def checker(raw: bytes) -> None:
    """The compiled checker says something of any message, and raises nothing."""
    from ingest.checker import check_structure  # type: ignore[import-not-found,unused-ignore]

    message = _read(raw)
    if message is not None:
        for version in ("2.3", "2.5.1", "2.7"):
            check_structure(message, version)


def _read(raw: bytes) -> Message | None:
    try:
        return read(raw)
    except PermanentError as error:
        _expect(bool(error.reason and error.remedy), "an error without a reason or a remedy")
        return None


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)


TARGETS: Final[dict[str, tuple[Callable[[bytes], None], str]]] = {
    "framer": (framer, "frames"),
    "reader": (reader, "message"),
    "mapping": (mapping, "message"),
} | ({"checker": (checker, "message")} if find_spec("ingest.checker") else {})
"""Each target with the folder of its corpus."""


def corpus_of(name: str) -> list[bytes]:
    """Return the kept inputs of a target, in a fixed order."""
    folder = CORPUS / TARGETS[name][1]
    return [path.read_bytes() for path in sorted(folder.iterdir())]
