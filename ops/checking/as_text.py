"""What was checked, for a reader at a terminal: as a good compiler says it. Pure.

Colours only where asked for. Nothing of a file's name or of a control id is obeyed by a terminal.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from schemas.finding import Level

from .entries import Entry, Note
from .shapes import for_terminal
from .wording import LEVELS

_COLOURS: Final = {
    Level.ERROR: "1;31",
    Level.WARNING: "1;33",
    Level.INFO: "1;36",
    "AA": "32",
    "dim": "2",
    "bold": "1",
    "right": "32",
}
_MARGIN: Final = 8

_WORDS: Final = {
    "en": {
        "right": "right",
        "why": "why",
        "see": "see",
        "none": "no answer",
        "parked": "kept, but parked: no report could be made of it",
        "messages": ("message", "messages"),
        "files": ("file", "files"),
        "errors": ("error", "errors"),
        "warnings": ("warning", "warnings"),
        "infos": ("remark", "remarks"),
        "in": "in",
        "hidden": "remarks are shown with --verbose",
        "masked": "values with --show-values",
    },
    "fr": {
        "right": "correct",
        "why": "pourquoi (en anglais)",
        "see": "voir",
        "none": "sans réponse",
        "parked": "conservé, mais mis de côté : aucun compte rendu n'a pu en être tiré",
        "messages": ("message", "messages"),
        "files": ("fichier", "fichiers"),
        "errors": ("erreur", "erreurs"),
        "warnings": ("avertissement", "avertissements"),
        "infos": ("remarque", "remarques"),
        "in": "dans",
        "hidden": "les remarques sont affichées avec --verbose",
        "masked": "les valeurs avec --show-values",
    },
}


class TextReport:
    """Writes entries as text, and the sum of all at the end.

    Args:
        language: en or fr.
        colour: Whether to colour (ANSI).
        width: Columns; a longer excerpt is cut to the value's surroundings.
        quiet: Only messages with something to say.
        verbose: Remarks (level info) too.
    """

    def __init__(
        self,
        *,
        language: str = "en",
        colour: bool = False,
        width: int = 100,
        quiet: bool = False,
        verbose: bool = False,
    ) -> None:
        self._language = language
        self._words = _WORDS[language]
        self._colour = colour
        self._width = max(40, width)
        self._quiet = quiet
        self._verbose = verbose
        self._verdicts: Counter[str] = Counter()
        self._levels: Counter[str] = Counter()
        self._files: set[str] = set()
        self._has_masks = False

    def entry(self, entry: Entry) -> str:
        """Return what is shown of one message; counts it."""
        self._verdicts[entry.verdict] += 1
        self._levels["errors"] += entry.errors
        self._levels["warnings"] += entry.warnings
        self._levels["infos"] += entry.infos
        self._files.add(entry.file)
        notes = [note for note in entry.findings if self._verbose or note.level is not Level.INFO]
        if self._quiet and not notes:
            return ""
        return self._head(entry) + "".join(self._note(note, entry.file) for note in notes)

    def summary(self) -> str:
        """Return the last line: how many messages, what they would be answered, what was found."""
        verdicts = ", ".join(
            f"{verdict or self._words['none']} {count}"
            for verdict, count in sorted(self._verdicts.items())
        )
        counts = ", ".join(self._counted(name, self._levels[name]) for name in _COUNTED)
        line = (
            f"{self._counted('messages', self._verdicts.total())} {self._words['in']}"
            f" {self._counted('files', len(self._files))}: {verdicts or '-'}; {counts}"
        )
        hints = []
        if self._levels["infos"] and not self._verbose:
            hints.append(self._words["hidden"])
        if self._has_masks:
            hints.append(self._words["masked"])
        end = f" ({'; '.join(map(str, hints))})\n" if hints else "\n"
        return self._painted("bold", line) + end

    def _counted(self, name: str, count: int) -> str:
        one, many = self._words[name]
        return f"{count} {one if count == 1 else many}"

    def _head(self, entry: Entry) -> str:
        verdict = entry.verdict or "--"
        colour: Level | str = "AA"
        if entry.verdict != "AA" or entry.errors:
            colour = Level.ERROR
        line = (
            f"{self._painted(colour, verdict)}  {for_terminal(entry.file)}:{entry.line}"
            f"  {for_terminal(entry.control_id) or '-'}"
        )
        if entry.outcome == "parked":
            line += f"  ({self._words['parked']})"
        elif not entry.verdict:
            line += f"  ({self._words['none']})"
        return line + "\n"

    def _note(self, note: Note, file: str) -> str:
        level = self._painted(note.level, f"{LEVELS[self._language][note.level]}[{note.code}]")
        where = f"{for_terminal(file)}:{note.line}"
        if note.column:
            where += f":{note.column}"
        about = for_terminal(f"{note.place}, {note.shape}" if note.shape else note.place)
        lines = [f"  {level}: {note.remedy}", self._dim(f"    --> {where}") + f"  {about}"]
        if note.excerpt:
            self._has_masks = self._has_masks or note.is_masked
            excerpt, caret, length = _window(note, self._width - _MARGIN)
            mark = " " * caret + self._painted(note.level, "^" * length)
            lines += [
                self._dim(f"{note.line:>5} | ") + for_terminal(excerpt),
                self._dim("      | ") + mark,
            ]
        if note.corrected:
            right = self._painted("right", for_terminal(note.corrected))
            lines.append(self._dim(f"      = {self._words['right']}: ") + right)
        if note.why:
            lines.append(self._dim(f"      = {self._words['why']}: ") + note.why)
        lines.append(self._dim(f"      = {self._words['see']}: labdispatch explain {note.code}"))
        return "\n".join(lines) + "\n"

    def _dim(self, text: str) -> str:
        return self._painted("dim", text)

    def _painted(self, name: Level | str, text: str) -> str:
        return f"\x1b[{_COLOURS[name]}m{text}\x1b[0m" if self._colour else text


_COUNTED: Final = ("errors", "warnings", "infos")


def _window(note: Note, width: int) -> tuple[str, int, int]:
    """Return the part of the excerpt around the value that fits, and where the value is in it."""
    text, caret = note.excerpt, note.caret
    length = min(note.caret_length, width)
    if len(text) > width:
        # A third of the width before the value, but never less of it than fits.
        begin = max(0, min(caret - width // 3, len(text) - width))
        if begin:
            text, caret = "…" + text[begin + 1 :], caret - begin
        text = text[:width]
        length = max(1, min(length, width - caret))
    return text, caret, length
