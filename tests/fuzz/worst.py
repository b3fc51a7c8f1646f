"""The dearest messages that a frame of 8 MB can hold, by construction; and what each costs.

`python -m tests.fuzz.worst` prints milliseconds of CPU for each, from the bytes to the answer and
the record. None of them may cost the others at the door more than a moment.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from ingest.accept import _encoded
from ingest.ack import build_acks, told_of
from ingest.header import Header, read_header
from ingest.judge import LabProfile, judge
from schemas.decision import Realm
from schemas.envelope import AcceptedMessage

FRAME_BYTES: Final = 8_000_000
PID: Final = (
    b"PID|1||279035121518989^^^&1.2.250.1.213.1.4.10&ISO^INS||PAT-TROIS^DOMINIQUE^^^^^L||19790328|F"
    b"|||^^^^^^BDL^^35121" + b"|" * 21 + b"VALI\r"
)
OBR: Final = b"OBR|1||1|94500-6^x^LN|||20260306074500+0100||||||||||||||||||F\r"
OBX: Final = b"OBX|1|NM|94500-6^x^LN||1|||||F\r"
INS: Final = b"279035121518989^^^&1.2.250.1.213.1.4.%d&ISO^INS~"
_WHOLE: Final = (
    b"OBX|%d|CWE|94500-6^x%d^LN||a%d^b^SCT^c^d^e||m%d^n|zz|||F|||20260306074500+0100|x^y||r%d||||||"
    b"|n%d^^^^^FINEG^FINESS^^^1\r"
)
_GROUP: Final = (
    b"ORC|RE|%d\rOBR|1|%d|%d|a%d^x|||2026||||||||x^%d^y||||||||F\rSPM|1|%d||q%d\rNTE|1||x\r"
    b"OBX|1|CWE|k%d||a^%d\r"
)


def msh(charset: bytes = b"UNICODE UTF-8", kind: bytes = b"ORU^R01^ORU_R01") -> bytes:
    """A header."""
    return b"MSH|^~\\&|APP|LAB|||20260306||" + kind + b"|1|T|2.5.1|||||FRA|" + charset + b"\r"


def filled(before: bytes, unit: bytes, after: bytes = b"\r", size: int = FRAME_BYTES) -> bytes:
    """As many units as fit between what stands before and what stands after."""
    return before + unit * ((size - len(before) - len(after)) // len(unit)) + after


def worst_cases(size: int = FRAME_BYTES) -> Iterator[tuple[str, bytes]]:
    """Yield each message with its name, one at a time."""
    base, rest = msh() + PID + OBR, b"\r" + OBR + OBX
    document = msh(kind=b"MDM^T02^MDM_T02") + PID + b"TXA|1|x\r"
    latin = "é".encode("latin-1")
    units: dict[str, tuple[bytes, bytes, bytes]] = {
        **{
            f"segments {unit!r}": (base, unit, b"")
            for unit in (
                b"OBX|1\r",
                b"Z\r",
                b"\r",
                b"\r\n",
                b"\n",
                b"A\r\nB\nC\r",
                b" \r",
                b"SPM|1\r",
            )
        },
        "segments OBR": (msh() + PID, b"OBR|1\r", b""),
        "segments PID": (msh(), PID, OBR),
        "segments NTE": (base + OBX, b"NTE|1||x\r", b""),
        "segments before PID": (msh(), b"SFT|a|b\r", PID + OBR + OBX),
        "segments of specimens": (msh(kind=b"OUL^R22") + PID, b"SPM|1\r", OBR + OBX),
        "segments of a document": (document, b"OBX|1\r", b""),
        "notes of a document": (document + OBX, b"NTE|1\r", b""),
        "fields of MSH": (msh()[:-1], b"|", b"\r" + PID + OBR + OBX),
        "fields of PID": (msh() + PID[:-1], b"|", rest),
        "fields of OBX": (base + b"OBX|1|ST|a^b||", b"|", b"\r"),
        "PID-3 empty": (msh() + b"PID|1||", b"~", rest),
        "PID-3 numbers": (msh() + b"PID|1||", b"1~", rest),
        "PID-3 INS": (msh() + b"PID|1||", INS % 10, rest),
        "PID-3 components": (msh() + b"PID|1||1", b"^", rest),
        "PID-3 subcomponents": (msh() + b"PID|1||1^^^", b"&", rest),
        "PID-5 names": (msh() + b"PID|1||1||", b"a^b^^^^^L~", rest),
        "PID-5 one name": (msh() + b"PID|1||1||", b"A'", b"^B" + rest),
        "PID-5 given names": (msh() + b"PID|1||1||A^B^", b"A ", b"^^^^L" + rest),
        "PID-5 components": (msh() + b"PID|1||1||A", b"^", rest),
        "PID-11": (msh() + b"PID|1||1||A^B||||||", b"^^^^^^BDL~", rest),
        "PID-13": (msh() + b"PID|1||1||A^B||||||||", b"1~", rest),
        "PID-32": (msh() + b"PID" + b"|" * 32, b"X~", rest),
        "OBR-16": (msh() + PID + b"OBR|1||1|a^x" + b"|" * 12, b"1^A^B~", b"\r" + OBX),
        "OBX-3 components": (base + b"OBX|1|SN|", b"x^", b"\r"),
        **{
            f"OBX-5 {kind} {unit!r}": (base + b"OBX|1|" + kind.encode() + b"|a^b||", unit, b"\r")
            for kind in ("ST", "CWE", "SN", "DT", "ED", "NM")
            for unit in (b"x~", b"x^", b"x&", b"\x1c")
        },
        "OBX-8": (base + b"OBX|1|ST|a^b||1|||", b"H~", b"\r"),
        "OBX-14": (base + b"OBX|1|ST|a||1||||||F|||", b"2&", b"\r"),
        "NTE-3": (base + OBX + b"NTE|1||", b"~", b"\r"),
        "NTE-3 deletes": (base + OBX + b"NTE|1||", b'""~', b"\r"),
        **{
            f"escapes {unit!r}": (base + b"OBX|1|FT|a^b||\\X", unit, b"\r")
            for unit in (b"\\T\\", b"\\X41\\", b"41", b"\\X", b"\\X4141414141", b"\\", b"\\.sp 12")
        },
        "one escape": (base + b"OBX|1|FT|a^b||\\X", b"0d", b"\\\r"),
        "8859/1": (msh(b"8859/1") + PID + OBR + b"OBX|1|ST|a||", latin, b"\r"),
        "8859/1, letters of Windows": (
            msh(b"8859/1") + PID + OBR + b"OBX|1|ST|a||",
            b"\x80",
            b"\r",
        ),
        "8859/15": (msh(b"8859/15") + PID + OBR + b"OBX|1|ST|a||", b"\xa4", b"\r"),
        "8859/2, ends and frames": (msh(b"8859/2") + PID + OBR, b"\xe9\r\n", b"\x0b\r"),
        "UTF-8": (base + b"OBX|1|ST|a||", "\U0001f9ea".encode(), b"\r"),
        "UTF-8, wrong at its end": (base + b"OBX|1|ST|a||", "é".encode(), b"\xff\r"),
        "no charset": (msh(b"") + PID + OBR + b"OBX|1|ST|a||", "é".encode(), b"\xff\r"),
        "blanks before MSH": (b"", b" ", base + OBX),
        "blanks after a mark": (b"\xef\xbb\xbf", b"\r", base + OBX),
        "MSH-3": (b"MSH|^~\\&|", b"a ", b"|||||20260306||ORU^R01|1|T|2.5.1\r" + PID + OBR),
        "MSH-4": (b"MSH|^~\\&|APP|", b"\\T\\", b"|||20260306||ORU^R01|1|T|2.5.1\r" + PID + OBR),
        "MSH-9": (b"MSH|^~\\&|APP|LAB|||20260306||ORU^R01", b"^", b"|1|T|2.5.1\r" + PID + OBR),
        "MSH-10": (msh().partition(b"|1|T|")[0] + b"|", b"\\T\\", b"|T|2.5.1\r" + PID + OBR),
        "MSH-18": (msh()[:-1], b"x~", b"\r" + PID + OBR + OBX),
    }
    for name, (before, unit, after) in units.items():
        yield name, filled(before, unit, after, size)
    yield from _full(base)


def _full(base: bytes) -> Iterator[tuple[str, bytes]]:
    """Messages that hold as much as is taken of one thing, and no more."""
    yield "10,000 results", base + b"".join([_WHOLE % ((n,) * 6) for n in range(10_000)])
    yield "10,000 odd results", base + b"OBX|1|NM|||x|||ZZ|||\r" * 10_000
    yield "2,000 groups", msh() + PID + b"".join([_GROUP % ((n,) * 9) for n in range(2_000)])
    yield "10,000 INS", msh() + b"PID|1||" + INS % 10 * 9_999 + INS % 8 + b"\r" + OBR + OBX
    yield "10,000 names", msh() + b"PID|1||1||" + b"a^b^^^^^L~" * 9_999 + b"\r" + OBR + OBX
    name = b"A-" * 490 + b"^B^" + b"A " * 490 + b"^^^^%d~"
    yield (
        "4,000 long names",
        msh() + b"PID|1||1||" + b"".join([name % n for n in range(4_000)]) + b"\r" + OBR + OBX,
    )
    yield "50,000 escapes", base + b"OBX|1|ST|a^b||" + b"\\X41\\" * 50_000 + b"\r"


def cost_of(raw: bytes) -> tuple[float, str]:
    """Milliseconds of CPU from the bytes to the answer and the record, and the verdict."""
    began = time.process_time()
    header = read_header(raw)
    if not isinstance(header, Header):
        return (time.process_time() - began) * 1_000, header.finding.code
    found = judge(raw, header, LabProfile(), Realm.TEST)
    told = told_of(found, "onboarding")
    at = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)
    build_acks(header, found.ruling, told, at=at, wants_no_answer=False)
    held = AcceptedMessage(
        raw=raw, control_id=header.control_id, mapping_version=1, profile_version=1, answer="AA",
        mapped=found.mapped, unmappable=found.unmappable, findings=found.findings,
    )  # fmt: skip
    _encoded(held)
    spent = (time.process_time() - began) * 1_000
    return spent, found.unmappable.code if found.unmappable is not None else found.ruling.value


if __name__ == "__main__":
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)  # as the stations do (ops/runtime/lifecycle.py)
    for named, message in worst_cases():
        milliseconds, verdict = cost_of(message)
        print(f"{milliseconds:7.1f} ms  {named:32} {verdict}", flush=True)
