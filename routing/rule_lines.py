"""Where each part of a JSON text stands: its line, so that whoever wrote it finds it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

Path = tuple[str | int, ...]

_WORD: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_STEP: Final = re.compile(r"\.([A-Za-z_]\w*)|\[(\d+)\]")
_AT: Final = re.compile(r" - at `\$([^`]*)`")
_BYTE: Final = re.compile(r"\(byte (\d+)\)")


class Located(NamedTuple):
    """The lines of a text's parts, and keys that stand twice in one object: the last would win."""

    lines: Mapping[Path, int]
    twice: tuple[Path, ...]

    def line(self, path: Path) -> int:
        """Return the line of a part, or of the smallest part around it that is known."""
        while path not in self.lines and path:
            path = path[:-1]
        return self.lines.get(path, 1)


class _Open:
    """An object or array that is not closed yet."""

    def __init__(self, path: Path, *, is_array: bool) -> None:
        self.path = path
        self.is_array = is_array
        self.step: str | int | None = 0 if is_array else None
        self.keys: set[str] = set()


def locate(text: str) -> Located:
    """Return the lines of the parts of a well-formed JSON text."""
    lines: dict[Path, int] = {}
    twice: list[Path] = []
    opened: list[_Open] = []
    line, last = 1, 0
    for found in _WORD.finditer(text):
        word, start = found[0], found.start()
        line, last = line + text.count("\n", last, start), start
        inside = opened[-1] if opened else None
        if word in "}]":
            del opened[-1:]
        elif word == ",":
            if inside is not None:
                step = inside.step
                inside.step = step + 1 if inside.is_array and isinstance(step, int) else None
        elif word == ":":
            continue
        elif inside is not None and inside.step is None:
            key = str(msgspec.json.decode(word))
            inside.step = key
            lines[(*inside.path, key)] = line
            if key in inside.keys:
                twice.append((*inside.path, key))
            inside.keys.add(key)
        else:
            path = () if inside is None else (*inside.path, _step_of(inside))
            lines.setdefault(path, line)
            if word in "{[":
                opened.append(_Open(path, is_array=word == "["))
    return Located(lines, tuple(twice))


def path_in(error: str) -> Path:
    """Return the part that a msgspec error names; empty where it names none."""
    named = _AT.search(error)
    if named is None:
        return ()
    path: list[str | int] = []
    for key, index in _STEP.findall(named[1]):
        path.append(int(index) if index else key)
    return tuple(path)


def without_path(error: str) -> str:
    """Return what a msgspec error says, without the part that it names."""
    return _AT.sub("", error)


def line_of_byte(source: bytes, error: str) -> int:
    """Return the line at which a text stops being JSON, as a msgspec error names it by byte."""
    named = _BYTE.search(error)
    return 1 + source.count(b"\n", 0, int(named[1]) if named else len(source))


def _step_of(inside: _Open) -> str | int:
    assert inside.step is not None
    return inside.step
