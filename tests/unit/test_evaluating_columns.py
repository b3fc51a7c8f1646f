from __future__ import annotations

from pathlib import Path

import pytest

from ops.evaluating.columns import birth_date, layout_of, read_map, traits_of
from ops.evaluating.reading import Table
from schemas.decision import Realm
from schemas.errors import PermanentError

HEADER = [
    "rec_id", " given_name", "surname", "street_number", "address_1", "suburb", "postcode", "state",
    "date_of_birth", "who",
]  # fmt: skip


def test_known_columns_need_no_map_and_others_are_named() -> None:
    layout = layout_of(HEADER, "who", "rec_id", {})
    assert layout.ignored == ("street_number",)
    assert not layout.is_french
    row = ["r1", "anna ", "smith", "4", "high street", "ryde", "2112", "nsw", "19230805", "17"]
    traits = traits_of(row, layout, Realm.TEST)
    assert (traits.birth_given, traits.birth_family, traits.birth_date) == (
        "anna", "smith", "1923-08-05",
    )  # fmt: skip
    assert traits.address is not None
    assert traits.address.lines == ("high street",)
    assert (traits.address.city, traits.address.postcode) == ("ryde", "2112")
    assert traits.address.state == "nsw"


def test_a_map_wins_over_what_is_known() -> None:
    mapped = read_map('[columns]\n"Nom de naissance" = "surname"\ncity = "birth_place"\n')
    layout = layout_of(["Nom de naissance", "city", "truth"], "truth", None, mapped)
    assert layout.is_french
    traits = traits_of(["Martin", "75056", "1"], layout, Realm.TEST)
    assert (traits.birth_family, traits.birth_place) == ("Martin", "75056")


@pytest.mark.parametrize("text", ["x =", '"Nom" = 3', '[columns]\n"Nom" = "shoe_size"'])
def test_a_bad_map_is_an_error_with_a_remedy(text: str) -> None:
    with pytest.raises(PermanentError) as caught:
        read_map(text)
    assert caught.value.remedy


def test_columns_that_are_asked_for_and_not_there() -> None:
    for truth, identifier, mapped in (
        ("nobody", None, {}), ("who", "nobody", {}), ("who", None, {"nobody": "surname"}),
    ):  # fmt: skip
        with pytest.raises(PermanentError):
            layout_of(HEADER, truth, identifier, mapped)
    with pytest.raises(PermanentError, match="no_known_column"):
        layout_of(["a", "b"], "a", None, {})


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("19230805", "1923-08-05"), ("1923-08-05", "1923-08-05"), ("05/08/1923", "1923-08-05"),
        ("12/31/1990", "1990-12-31"), ("1979", "1979"), ("1979-03", "1979-03"),
        ("19230085", "1923-00-85"), ("1990-01-02T00:00:00", "1990-01-02"), ("soon", ""), ("", ""),
        ("５/8/1923x", ""),
    ],
)  # fmt: skip
def test_birth_dates_as_people_write_them(text: str, iso: str) -> None:
    assert birth_date(text) == iso


@pytest.mark.parametrize(
    ("cell", "held"),
    [
        ("279035121518989", True), ("2 79 03 51 215 189 89", True), ("279035121518988", False),
        ("1.2.250.1.213.1.4.8|279035121518989", True), ("1.2.3|279035121518989", False),
        ("279035121518989^^^ASIP&1.2.250.1.213.1.4.10&ISO^INS", True), ("", False),
    ],
)  # fmt: skip
def test_an_ins_counts_only_with_its_right_key(cell: str, held: bool) -> None:
    layout = layout_of(["ins", "t"], "t", None, {})
    assert bool(traits_of([cell, "1"], layout, Realm.TEST).ins) is held


def test_an_ins_without_an_oid_is_of_the_realm_of_the_run() -> None:
    layout = layout_of(["ins", "t"], "t", None, {})
    for realm, oid in ((Realm.TEST, ".10"), (Realm.PRODUCTION, ".8")):
        (ins,) = traits_of(["279035121518989", "1"], layout, realm).ins
        assert ins.oid.endswith(oid)


def test_anything_in_a_cell_becomes_traits() -> None:
    layout = layout_of(HEADER, "who", None, {})
    for text in ("\x00", "😀" * 5_000, "\u202eabc", "\ud800", " ", "a\tb\x07"):
        traits = traits_of([text] * len(HEADER), layout, Realm.TEST)
        assert len(traits.birth_family) <= 200
        traits.birth_family.encode("utf-8")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "file_empty"),
        (b"a,b\n1,2\n1\n", "row_width_wrong"),
        (b"a,b\n1,2,3\n", "row_width_wrong"),
        (b'a,b\n1,"2\n' + b"x" * 1_100_000, "row_unreadable"),
    ],
)
def test_a_bad_file_is_told_with_its_row(tmp_path: Path, raw: bytes, reason: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(raw)
    with pytest.raises(PermanentError) as caught:
        list(Table(path).rows())
    assert caught.value.reason == reason
    assert caught.value.remedy


@pytest.mark.parametrize(
    "raw",
    [
        "nom;ville\nLéa;Nîmes\n".encode(), "nom,ville\nLéa,Nîmes\n".encode("utf-8-sig"),
        "nom\tville\r\nLéa\tNîmes\r\n".encode("cp1252"), 'nom|ville\n"Léa"|Nîmes'.encode(),
        "nom,ville\nLéa,Nîmes\n\n".encode("utf-16"),
    ],
)  # fmt: skip
def test_files_as_people_save_them(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "good.csv"
    path.write_bytes(raw)
    table = Table(path)
    assert table.header == ["nom", "ville"]
    assert [row for _, row in table.rows()] == [["Léa", "Nîmes"]]
    assert len(list(table.rows())) == 1, "a file is read as often as one likes"
