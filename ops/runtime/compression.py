"""Makes payloads small before they are sealed: Zstandard (RFC 8878) with a dictionary a class.

A payload of three thousand bytes is mostly what every payload says: segment names, FHIR keys, code
systems. A dictionary holds that once. Dictionaries are files beside this module, trained on
simulated messages of invented people (`python -m ops.simulate.dictionaries`), numbered and never
changed or removed while a payload may need them: a frame names the number of its dictionary.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Final

import zstandard

FOLDER: Final = Path(__file__).with_name("dictionaries")
LEVEL: Final = 1
MOST_BYTES: Final = 256 * 1024 * 1024
"""No payload that we ever sealed is larger; a frame that says so is not ours."""
_WINDOW_LOG: Final = 17
_TABLE_LOG: Final = 14
SMALLEST_BYTES: Final = 128
"""Below it nothing is won."""


class Compressor:
    """Compresses with the newest dictionary of a kind of payload, where there is one.

    One thread at a time, as its owner.

    Args:
        kind: Name of the payload's kind: dictionaries are `<kind>-<number>.zdict`.
    """

    def __init__(self, kind: str) -> None:
        numbers = sorted(number for name, number in dictionaries() if name == kind)
        held = dictionaries()[kind, numbers[-1]] if numbers else None
        self._compressor = (
            zstandard.ZstdCompressor(level=LEVEL)
            if held is None
            else zstandard.ZstdCompressor(level=LEVEL, dict_data=held)
        )

    def compress(self, plaintext: bytes) -> bytes:
        """Return a frame that says its size and its dictionary."""
        return self._compressor.compress(plaintext)


class Frame:
    """One Zstandard frame that grows: what is added can be read at once (RFC 8878).

    A small window: a server holds one of these for each of its readers.
    """

    def __init__(self) -> None:
        parameters = zstandard.ZstdCompressionParameters.from_level(
            LEVEL, window_log=_WINDOW_LOG, hash_log=_TABLE_LOG, chain_log=_TABLE_LOG
        )
        self._compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()

    def add(self, plaintext: bytes) -> bytes:
        """Return what makes this readable to whoever has what came before."""
        return self._compressor.compress(plaintext) + self._compressor.flush(
            zstandard.COMPRESSOBJ_FLUSH_BLOCK
        )

    def end(self) -> bytes:
        """Return the end of the frame."""
        return self._compressor.flush()


class Decompressor:
    """Opens the frames of every kind, by the dictionary that each names."""

    def __init__(self) -> None:
        self._by_id = {
            held.dict_id(): zstandard.ZstdDecompressor(dict_data=held)
            for held in dictionaries().values()
        }
        self._by_id[0] = zstandard.ZstdDecompressor()

    def decompress(self, frame: bytes) -> bytes:
        """Return the plaintext.

        Raises:
            ValueError: No frame of ours, or one of a dictionary that this release does not hold.
        """
        try:
            about = zstandard.get_frame_parameters(frame)
            held = self._by_id.get(about.dict_id)
            if held is None or not 0 <= about.content_size <= MOST_BYTES:
                raise ValueError("a frame of another release")
            return held.decompress(frame)
        except zstandard.ZstdError:
            raise ValueError("not a frame") from None


@cache
def dictionaries() -> dict[tuple[str, int], zstandard.ZstdCompressionDict]:
    """Return the dictionaries of this release by kind and number; read once a process."""
    found = {}
    for path in sorted(FOLDER.glob("*.zdict")):
        kind, _, number = path.stem.rpartition("-")
        found[kind, int(number)] = zstandard.ZstdCompressionDict(path.read_bytes())
    return found


def train(samples: Iterable[bytes], size: int, number: int) -> bytes:
    """Return a dictionary of at most `size` bytes, made of samples, with this number in it."""
    return zstandard.train_dictionary(size, list(samples), dict_id=number).as_bytes()
