"""What all routes of the indicators share: who is let in, in which form, and what follows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlencode

from litestar import Request

from ops.stream_tokens.port import Admission
from schemas.errors import PermanentError
from schemas.figures import Extraction

from .as_csv import rows_as_csv
from .asking import Asked
from .columns import Rows

HttpRequest = Request[Any, Any, Any]
Admit = Callable[[HttpRequest, str, Asked], Awaitable["Admitted"]]
"""Lets a reader in, for a condition (empty: none) and what is asked; says what it may have."""

CSV: Final = "text/csv; charset=utf-8"
PARQUET: Final = "application/vnd.apache.parquet"
MEDIA: Final = {"json": "application/json", "csv": CSV, "parquet": PARQUET}


class Admitted:
    """A reader that was let in, until it is left.

    Args:
        admission: Its place.
        asked: What it may have of what it asks.
    """

    def __init__(self, admission: Admission, asked: Asked) -> None:
        self.asked = asked
        self.check = admission.check
        self._admission = admission

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the place back."""
        self.close()

    def close(self) -> None:
        """Give the place back; twice is once."""
        self._admission.close()


def further(
    path: str, pairs: list[tuple[str, str]], extraction: Extraction, after: str | None
) -> tuple[str | None, dict[str, str]]:
    """Return the address of what follows, and the headers of an answer."""
    headers = {"X-Extraction": str(extraction.number)}
    if after is None:
        return None, headers
    kept = [(name, value) for name, value in pairs if name not in {"after", "as_of"}]
    # The pages of one answer are of one extraction.
    kept += [("as_of", extraction.at.isoformat()), ("after", after)]
    following = f"{path}?{urlencode(kept)}"
    headers["Link"] = f'<{following}>; rel="next"'
    return following, headers


def format_of(request: HttpRequest) -> tuple[list[tuple[str, str]], str]:
    """Return what is asked without the form, and the form.

    Raises:
        PermanentError: `bad_question`: the forms there are.
    """
    pairs = [(name, str(value)) for name, value in request.query_params.multi_items()]
    forms = [value for name, value in pairs if name == "format"]
    form = forms[0] if len(forms) == 1 else ("json" if not forms else "")
    if form not in MEDIA:
        raise PermanentError("bad_question", f"format: one of {', '.join(MEDIA)}")
    return [pair for pair in pairs if pair[0] != "format"], form


async def rendered(form: str, rows: Rows, whole: object) -> object:
    """Return what an answer holds; CSV and Parquet are written beside the loop.

    Args:
        form: Of `MEDIA`.
        rows: What CSV and Parquet hold.
        whole: What JSON holds.
    """
    if form == "csv":
        return await asyncio.to_thread(rows_as_csv, rows)
    if form == "parquet":
        from .as_parquet import rows_as_parquet  # noqa: PLC0415 - slow to load

        return await asyncio.to_thread(rows_as_parquet, rows)
    return whole
