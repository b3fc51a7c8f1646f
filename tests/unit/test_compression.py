from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest
import zstandard

from ops.runtime import compression
from ops.runtime.compression import FOLDER, Compressor, Decompressor, dictionaries
from ops.runtime.vault import FolderKeyStore, SealClass, Vault
from ops.simulate.sample import sample_message
from schemas.errors import PermanentError

# A payload in the tables names its dictionary: one that changes makes it unreadable for ever.
RELEASED = {
    "intake-1.zdict": "8c67883b64d7ec2d7d4b1482a70d3e13d665b4236b5e60263b0e88afdfc8f8cf",
    "stream-1.zdict": "c14db1b1b50d44b1acbb88313abde9ec61a7bb5e0776f61b640787ceb9f3de5a",
}
KINDS = ("intake", "stream")


class Noon:
    def now(self) -> datetime:
        return datetime(2026, 11, 27, 12, tzinfo=UTC)


def test_the_dictionaries_are_those_that_were_released() -> None:
    held = {path.name: sha256(path.read_bytes()).hexdigest() for path in FOLDER.glob("*.zdict")}
    assert held == RELEASED


def test_every_dictionary_has_a_number_of_its_own() -> None:
    numbers = [held.dict_id() for held in dictionaries().values()]
    assert 0 not in numbers
    assert len(set(numbers)) == len(numbers) == len(RELEASED)


@pytest.mark.parametrize("kind", [*KINDS, "without-dictionary"])
@pytest.mark.parametrize(
    "plaintext",
    [b"", b"x", Random(1).randbytes(5_000), b"OBX|" * 500_000],
    ids=["empty", "one", "random", "large"],
)
def test_what_was_compressed_comes_back(kind: str, plaintext: bytes) -> None:
    assert Decompressor().decompress(Compressor(kind).compress(plaintext)) == plaintext


def test_an_older_dictionary_still_opens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    older = Compressor("intake").compress(sample_message())
    samples = [sample_message() + b"%d" % n for n in range(2_000)]
    (tmp_path / "intake-2.zdict").write_bytes(compression.train(samples, 8_192, 1_002))
    (tmp_path / "intake-1.zdict").write_bytes((FOLDER / "intake-1.zdict").read_bytes())
    monkeypatch.setattr(compression, "FOLDER", tmp_path)
    dictionaries.cache_clear()
    try:
        newer = Compressor("intake").compress(sample_message())
        assert zstandard.get_frame_parameters(newer).dict_id == 1_002
        assert Decompressor().decompress(older) == Decompressor().decompress(newer)
    finally:
        dictionaries.cache_clear()


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"no frame at all",
        zstandard.ZstdCompressor(write_content_size=False).compress(b"x" * 300),
        zstandard.ZstdCompressor(
            dict_data=zstandard.ZstdCompressionDict(
                compression.train([b"other release %d" % n for n in range(5_000)], 4_096, 77)
            )
        ).compress(b"other release 1"),
        Compressor("stream").compress(b"y" * 300)[:-4],
    ],
    ids=["empty", "not a frame", "no size", "unknown dictionary", "cut"],
)
def test_what_is_no_frame_of_ours_is_an_error(frame: bytes) -> None:
    with pytest.raises(ValueError, match=r"frame"):
        Decompressor().decompress(frame)


def test_a_frame_that_promises_too_much_is_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = Compressor("stream").compress(b"z" * 1_000)
    monkeypatch.setattr(compression, "MOST_BYTES", 999)
    with pytest.raises(ValueError, match="frame"):
        Decompressor().decompress(frame)


@pytest.mark.parametrize("kind", [SealClass.INTAKE, SealClass.STREAM])
def test_a_sealed_payload_is_a_fraction_and_opens(tmp_path: Path, kind: SealClass) -> None:
    vault = Vault(FolderKeyStore(tmp_path / "keys"), Noon())
    plaintext = sample_message() * 4
    sealed = vault.seal(kind, plaintext, b"row")
    assert len(sealed) < len(plaintext) / 3
    assert vault.open(sealed, b"row") == plaintext


def test_what_an_earlier_release_sealed_still_opens(tmp_path: Path) -> None:
    vault = Vault(FolderKeyStore(tmp_path / "keys"), Noon())
    plain = vault.seal(SealClass.IDENTITY, b"i" * 500, b"row")
    short = vault.seal(SealClass.INTAKE, b"short", b"row")
    assert (plain[0], short[0]) == (1, 1)
    assert vault.open(plain, b"row") == b"i" * 500
    assert vault.open(short, b"row") == b"short"


def test_the_form_is_sealed_too(tmp_path: Path) -> None:
    vault = Vault(FolderKeyStore(tmp_path / "keys"), Noon())
    sealed = bytearray(vault.seal(SealClass.INTAKE, sample_message(), b"row"))
    assert sealed[0] == 2
    sealed[0] = 1
    with pytest.raises(PermanentError, match="unreadable_payload"):
        vault.open(bytes(sealed), b"row")
