"""Messages made at random, with the answers of the door to them: for other readers to read."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from hypothesis import strategies as st

from ingest.ack import build_acks, told_of
from ingest.header import HeaderError, read_header
from ingest.judge import Judgement, LabProfile, Ruling, judge
from ops.simulate.sample import sample_message
from schemas.decision import Realm

AT = datetime(2026, 3, 6, 9, 15, 2, tzinfo=UTC)
VERSIONS = ("2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7")
CHARSETS = {
    "": "ascii",
    "ASCII": "ascii",
    "UNICODE UTF-8": "utf-8",
    "8859/1": "iso8859-1",
    "8859/15": "iso8859-15",
}
_SEPARATORS = ("|^~\\&", "$*!?%", "|^~\\&", "#:;!'")
_ESCAPED = st.sampled_from(["X0D", "X0B", "X1C", "X0A", "F", "S", "T", "R", "E", ".br", "X1C0D"])
_LINES = sample_message().decode().split("\r")[1:-1]
_NAME = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=12)


class Acknowledged(msgspec.Struct, frozen=True):
    """An answer, and what a reader should find in it."""

    codec: str
    version: str
    code: str
    control_id: str
    answer: bytes


@st.composite
def acknowledged(draw: st.DrawFn) -> list[Acknowledged]:
    """Draw a message of any dialect, right or wrong, and give the answers to it."""
    field, component, repetition, escape, sub = list(draw(st.sampled_from(_SEPARATORS)))
    version = draw(st.sampled_from(VERSIONS))
    charset = draw(st.sampled_from(sorted(CHARSETS)))

    def name() -> str:
        text = "".join(
            letter for letter in draw(_NAME) if letter not in field + component + repetition
        )
        text = text.replace(escape, "").replace(sub, "").strip() or "X"
        return text + draw(st.sampled_from(["", f"{escape}{draw(_ESCAPED)}{escape}Z"]))

    kinds = st.sampled_from(["ORU^R01", "ORU^R01^ORU_R01", "ORU^R30", "ADT^A01", "OUL^R22", "ORU"])
    modes = st.sampled_from(["", "AL", "NE", "ER", "SU"])
    control_id = draw(st.from_regex(r"[A-Z0-9][A-Z0-9-]{0,18}", fullmatch=True))
    ids = draw(st.sampled_from(["P", "T", "D", "", "X"]))
    header = ["MSH", component + repetition + escape + sub, name(), name(), name(), name()]
    header += ["20260306101502+0100", "", draw(kinds).replace("^", component), control_id, ids]
    header += [version, "", "", draw(modes), draw(modes), "FRA", charset]
    lines = [_translated(line, field, component, repetition, sub) for line in _LINES]
    lines = [line for line in lines if draw(st.integers(0, 9)) > 0]
    lines = [_spoiled(draw, line, field) for line in lines]
    raw = "\r".join([field.join(header), *lines, ""]).encode(CHARSETS[charset], "replace")
    state = draw(st.sampled_from(["onboarding", "live"]))
    return answers_to(raw, CHARSETS[charset], version, state)


def answers_to(raw: bytes, codec: str, version: str, state: str) -> list[Acknowledged]:
    """Return the answers of the door to a message."""
    read = read_header(raw)
    if isinstance(read, HeaderError):
        header, judgement = read.header, Judgement(ruling=Ruling.REJECT, findings=(read.finding,))
    else:
        header, judgement = read, judge(raw, read, LabProfile(), Realm.TEST)
    told = told_of(judgement, state)
    answers = build_acks(header, judgement.ruling, told, at=AT, wants_no_answer=False)
    made = []
    for answer in answers:
        field = answer[3:4]
        code, control_id = answer.split(b"\r")[1].split(field)[1:3]
        made.append(Acknowledged(codec, version, code.decode(), control_id.decode(), answer))
    return made


def _translated(line: str, field: str, component: str, repetition: str, sub: str) -> str:
    marks: dict[str, str | int | None] = {"|": field, "^": component, "~": repetition, "&": sub}
    plain = "".join(" " if letter in marks.values() and letter not in marks else letter
                    for letter in line)  # fmt: skip
    return plain.translate(str.maketrans(marks))


def _spoiled(draw: st.DrawFn, line: str, field: str) -> str:
    """Put something odd into a field, one time in four."""
    if draw(st.integers(0, 3)):
        return line
    parts = line.split(field)
    at = draw(st.integers(1, len(parts) - 1))
    parts[at] = draw(st.sampled_from(["", "x", "99999999", "\x0b", "\x1c", "a" * 300, "1,5", "é"]))
    return field.join(parts)
