"""What a token with a filter learns of `pseudonym_replaced`: docs/tokens.md."""

from __future__ import annotations

from uuid import UUID

import msgspec

from routing.pseudonym import replaced_id
from schemas.events import PseudonymReplaced


def test_a_pair_holds_two_pseudonyms_and_their_half_year_and_nothing_else() -> None:
    assert PseudonymReplaced.__struct_fields__ == ("old", "new", "period", "record")
    body = msgspec.to_builtins(PseudonymReplaced(old="a" * 32, new="b" * 32, period="2026-H1"))
    assert set(body) == {"old", "new", "period", "record"}


def test_its_number_is_keyed_and_of_no_place_or_report() -> None:
    one = replaced_id(b"k" * 32, 17, "2026-H1")
    assert isinstance(one, UUID)
    assert one == replaced_id(b"k" * 32, 17, "2026-H1")
    others = {
        replaced_id(b"l" * 32, 17, "2026-H1"),
        replaced_id(b"k" * 32, 18, "2026-H1"),
        replaced_id(b"k" * 32, 17, "2026-H2"),
    }
    assert one not in others
    assert len(others) == 3
