"""Every answer of the door can be read by others, and holds nothing but itself."""

from __future__ import annotations

from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message
from hypothesis import HealthCheck, given, settings

from ingest.er7 import read
from tests.support.acknowledged import Acknowledged, acknowledged

SEGMENTS = {b"MSH", b"MSA", b"ERR"}


@given(acknowledged())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_answer_is_read_by_hl7apy(answers: list[Acknowledged]) -> None:
    for one in answers:
        text = one.answer.decode(one.codec)
        found = parse_message(text, validation_level=VALIDATION_LEVEL.TOLERANT, find_groups=False)
        assert found.msa.msa_1.to_er7() == one.code
        assert found.msa.msa_2.to_er7() == one.control_id
        assert len(found.children) == one.answer.count(b"\r")
        assert found.msh.msh_12.to_er7() == one.version


@given(acknowledged())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_answer_holds_a_segment_or_a_frame_of_somebody_else(
    answers: list[Acknowledged],
) -> None:
    for one in answers:
        assert not {0x0A, 0x0B, 0x1C, 0x00} & set(one.answer)
        lines = one.answer.split(b"\r")
        assert lines[-1] == b"" and lines[0][:3] == b"MSH" and lines[1][:3] == b"MSA"
        assert {line[:3] for line in lines[:-1]} <= SEGMENTS
        assert [line[:3] for line in lines].count(b"MSA") == 1
        message = read(one.answer)
        assert message.segments[1].field(2) == one.control_id
