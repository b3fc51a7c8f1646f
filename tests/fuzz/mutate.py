"""Mutations for the short run: pure, seeded, aware of what HL7 is made of."""

from __future__ import annotations

from random import Random
from typing import Final

TOKENS: Final = (
    b"|", b"^", b"~", b"\\", b"&", b"#", b"\r", b"\n", b"\r\n", b"\x0b", b"\x1c", b"\x1c\r",
    b"\x00", b'""', b"\xcb\x9c", b"\xc3\xa9", b"\xe9", b"\x81", b"\xef\xbb\xbf", b"\\X0D\\",
    b"\\X1C0D\\", b"\\F\\", b"\\.br\\", b"\\Z1\\", b"MSH|^~\\&|", b"\rPID|1||", b"\rOBR|1|",
    b"\rOBX|1|NM|", b"\rORC|", b"\rSPM|1|", b"\rSAC|", b"\rTXA|1|", b"\rNTE|1||", b"ORU^R01",
    b"MDM^T02", b"OUL^R22", b"ACK", b"2.3", b"2.7", b"8859/1", b"UNICODE UTF-8", b"INS", b"ED",
    b"SN", b"CWE", b"20260306101502+0100", b"\x0bMSH", b"9" * 60,
)  # fmt: skip


def mutated(source: bytes, other: bytes, random: Random) -> bytes:
    """Return a message damaged in a few places, perhaps crossed with another."""
    found = bytearray(source)
    for _ in range(random.randint(1, 6)):
        at = random.randint(0, len(found))
        match random.randrange(6):
            case 0:
                found[at:at] = random.choice(TOKENS)
            case 1:
                found[at : at + random.randint(1, 40)] = b""
            case 2:
                found[at : at + 1] = bytes([random.randrange(256)])
            case 3:
                begin = random.randint(0, len(found))
                found[at:at] = found[begin : begin + random.randint(1, 80)]
            case 4:
                begin = random.randint(0, len(other))
                found[at:] = other[begin:]
            case _:
                token = random.choice(TOKENS)
                found[at : at + len(token)] = token
    return bytes(found[:16_384])
