"""The batch protocol over a file: its messages in order, its envelopes, and what is wrong with it.

Pure: chunks of bytes in, steps out, whatever the cuts. What is found in the file never keeps a good
message back. Source: HL7 v2.5.1 2.10.3 (batch protocol), 2.15.2 (BHS), 2.15.3 (BTS), 2.15.6 (FHS),
2.15.7 (FTS).
"""

from __future__ import annotations

from typing import Final

import msgspec

from schemas.finding import Finding
from schemas.patient import Phi

from .batch_parts import Part, PartKind, Splitter, as_sent
from .catalogue import finding

MAX_FINDINGS: Final = 100
"""Findings of one file that are kept; what comes beyond is counted."""
NAME_REUSED: Final = "batch_name_reused"
SENDER_DIFFERS: Final = "batch_sender_differs"
FILE_REFUSED: Final = "batch_file_refused"
"""What is found out by whoever took the file; its bytes do not say it."""
_COUNT_DIGITS: Final = 18
_HEAD_BYTES: Final = 4_096
_STANDARD: Final = "|"


class Message(Phi, frozen=True, kw_only=True):
    """A message of the file, ready for the door; `number` counts from 1."""

    raw: bytes
    number: int


class Skipped(Phi, frozen=True, kw_only=True):
    """A message that is not whole: too large, cut or empty. `head` is its first bytes."""

    head: bytes
    number: int
    fault: str


class Opened(Phi, frozen=True, kw_only=True):
    """A file (`FHS`) or a batch (`BHS`) begins; `line` is its header, or the first message."""

    kind: str
    line: bytes
    is_implied: bool = False
    """There was no header: `line` begins with the MSH of the batch's first message."""


class Closed(msgspec.Struct, frozen=True, kw_only=True):
    """A batch or a file ends, with the messages or batches that it held.

    `separator` is that of its header; `codes` are the findings on the file so far.
    """

    kind: str
    held: int
    separator: str = _STANDARD
    codes: tuple[str, ...] = ()


Step = Message | Skipped | Opened | Closed


class FileFinding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One finding about a file: a code of the catalogue, and where: never a value of a message.

    `message` is the number of the last message before it, `at` the offset in the file. `said` and
    `found` are numbers of messages or batches where those differ.
    """

    code: str
    message: int
    at: int
    said: int | None = None
    found: int | None = None

    @property
    def finding(self) -> Finding:
        """The catalogue's words for it."""
        return finding(self.code)


class ReaderState(msgspec.Struct, kw_only=True):
    """How far a file is read: all that is needed to go on from `position`."""

    position: int = 0
    messages: int = 0
    separator: str = _STANDARD
    file_separator: str = _STANDARD
    file_is_open: bool = False
    file_batches: int = 0
    batch: str = ""
    """`BHS` or `implied` while a batch is open."""
    batch_messages: int = 0
    findings: list[FileFinding] = []
    more_findings: int = 0


class BatchReader:
    """Reads one file; memory is bounded by one message.

    Args:
        max_message_bytes: The largest message taken; a larger one is `Skipped`.
        state: Where to go on; the first byte fed is then the one at `state.position`.
    """

    def __init__(self, max_message_bytes: int, state: ReaderState | None = None) -> None:
        self._state = ReaderState() if state is None else state
        self._splitter = Splitter(max_message_bytes, self._state.position)
        self._is_closing = False

    @property
    def state(self) -> ReaderState:
        """The state after all steps given so far; a copy, which may be kept."""
        findings = list(self._state.findings)
        return msgspec.structs.replace(self._state, findings=findings)

    def feed(self, chunk: bytes) -> list[Step]:
        """Take the next bytes and return what they complete. Never raises."""
        return self._take(self._splitter.feed(chunk))

    def close(self) -> list[Step]:
        """Return what is left once the file has ended."""
        self._is_closing = True
        steps = self._take(self._splitter.close())
        state, end = self._state, self._splitter.position
        if state.batch == "BHS":
            self._note("batch_trailer_missing", end)
        self._close_batch(steps)
        if state.file_is_open:
            self._note("batch_trailer_missing", end)
        self._close_file(steps)
        if not state.messages:
            self._note("batch_empty", end)
        return steps

    def _take(self, parts: list[Part]) -> list[Step]:
        out: list[Step] = []
        for part in parts:
            if part.kind is PartKind.TEXT:
                self._note("batch_text_outside", part.start)
            elif part.kind is PartKind.ENVELOPE:
                self._envelope(part, out)
            else:
                self._message(part, out)
        self._state.position = self._splitter.position
        return out

    def _message(self, part: Part, out: list[Step]) -> None:
        state = self._state
        fault = part.fault
        if not part.has_end and not fault and part.kind is PartKind.MESSAGE and self._needs_end():
            # The file was cut: nobody can say what is missing of this message.
            fault = "cut"
            self._note("batch_cut_end", part.start)
        elif fault:
            self._note("batch_message_skipped", part.start)
        if not state.batch:
            state.batch, state.batch_messages = "implied", 0
            state.separator = _separator_of(part.raw)
            out.append(Opened(kind="BHS", line=part.raw[:_HEAD_BYTES], is_implied=True))
        state.messages += 1
        state.batch_messages += 1
        if fault:
            out.append(Skipped(head=part.raw[:_HEAD_BYTES], number=state.messages, fault=fault))
        else:
            out.append(Message(raw=as_sent(part), number=state.messages))

    def _needs_end(self) -> bool:
        return self._is_closing and (self._state.batch == "BHS" or self._state.file_is_open)

    def _envelope(self, part: Part, out: list[Step]) -> None:
        name = part.raw[:3].decode("ascii")
        state = self._state
        if name == "FHS":
            self._end_batch_without_trailer(part, out)
            if state.file_is_open:
                self._note("batch_trailer_missing", part.start)
            self._close_file(out)
            state.file_is_open, state.file_batches = True, 0
            state.file_separator = _separator_of(part.raw)
            out.append(Opened(kind="FHS", line=part.raw[:_HEAD_BYTES]))
        elif name == "BHS":
            self._end_batch_without_trailer(part, out)
            state.batch, state.batch_messages = "BHS", 0
            state.separator = _separator_of(part.raw)
            out.append(Opened(kind="BHS", line=part.raw[:_HEAD_BYTES]))
        elif name == "BTS":
            if state.batch != "BHS":
                self._note("batch_header_missing", part.start)
            self._compare("batch_count_differs", part, state.batch_messages if state.batch else 0)
            self._close_batch(out)
        else:
            self._end_batch_without_trailer(part, out)
            if not state.file_is_open:
                self._note("batch_header_missing", part.start)
            self._compare("batch_file_count_differs", part, state.file_batches)
            self._close_file(out)
            state.file_batches = 0

    def _end_batch_without_trailer(self, part: Part, out: list[Step]) -> None:
        if self._state.batch == "BHS":
            self._note("batch_trailer_missing", part.start)
        self._close_batch(out)

    def _close_batch(self, out: list[Step]) -> None:
        state = self._state
        if state.batch:
            out.append(self._closed("BTS", state.batch_messages, state.separator))
            state.file_batches += 1
        state.batch, state.batch_messages = "", 0

    def _close_file(self, out: list[Step]) -> None:
        state = self._state
        if state.file_is_open:
            out.append(self._closed("FTS", state.file_batches, state.file_separator))
        state.file_is_open = False

    def _closed(self, kind: str, held: int, separator: str) -> Closed:
        codes = tuple(dict.fromkeys(found.code for found in self._state.findings))
        return Closed(kind=kind, held=held, separator=separator, codes=codes)

    def _compare(self, code: str, part: Part, held: int) -> None:
        """Compare BTS-1 or FTS-1, where it is valued, with what was counted."""
        fields = part.raw[3:].split(part.raw[3:4] or b"|", 2)
        said = fields[1].strip() if len(fields) > 1 else b""
        if not said:
            return
        number = int(said) if said.isdigit() and len(said) <= _COUNT_DIGITS else None
        if number != held:
            self._note(code, part.start, said=number, found=held)

    def _note(
        self, code: str, at: int, *, said: int | None = None, found: int | None = None
    ) -> None:
        state = self._state
        if len(state.findings) >= MAX_FINDINGS:
            state.more_findings += 1
            return
        state.findings.append(
            FileFinding(code=code, message=state.messages, at=at, said=said, found=found)
        )


def _separator_of(line: bytes) -> str:
    found = line[3:4]
    if not found.isascii() or found.isalnum() or not found.strip() or found < b" ":
        return _STANDARD
    return found.decode("ascii")
