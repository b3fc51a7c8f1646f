"""The quick looks at a name say just what the long one says."""

from __future__ import annotations

import re
import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st

from ingest.names import is_plain_name, name_fault

FAMILY = re.compile(r"(?!.*(?:  |''| '|' ))[A-Z'][A-Z '\-]*")
GIVEN = re.compile(r"(?!.*(?:  |''| '|' |--))[A-Z'](?:[A-Z '\-]*[A-Z])?")
LIGATURES = {"Œ": "OE", "Æ": "AE", "Ð": "D", "Þ": "TH", "Ø": "O", "Ł": "L", "\u2019": "'"}

letters = st.characters(min_codepoint=0x20, max_codepoint=0x200) | st.sampled_from("AEéœ '-\u2019")


def long_look(name: str, form: re.Pattern[str]) -> str:
    if not name or form.fullmatch(name):
        return ""
    for ligature, plain in LIGATURES.items():
        name = name.upper().replace(ligature, plain)
    folded = unicodedata.normalize("NFKD", name)
    capitals = "".join(letter for letter in folded if not unicodedata.combining(letter))
    if not re.fullmatch(r"[A-Z '\-]*", capitals):
        return "name_characters_wrong"
    return "name_letters_not_plain" if form.fullmatch(capitals) else "name_form_wrong"


@given(st.text(letters, max_size=12))
@example("Lætitia-Zoë")
@example("straße")
def test_a_name_is_judged_alike_by_the_quick_looks_and_the_long_one(name: str) -> None:
    assert name_fault(name, is_family=True) == long_look(name, FAMILY)
    assert name_fault(name, is_family=False) == long_look(name, GIVEN)
    if is_plain_name(name):
        assert not name_fault(name, is_family=True)
        assert not name_fault(name, is_family=False)


def test_every_letter_of_western_europe_is_judged_alike() -> None:
    for name in map(chr, range(0x20, 0x250)):
        assert name_fault(name, is_family=True) == long_look(name, FAMILY)
        assert name_fault(name + name, is_family=False) == long_look(name + name, GIVEN)
