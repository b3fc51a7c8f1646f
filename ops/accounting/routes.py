"""HTTP of a laboratory's day: for itself (certificate or token), and for the operator."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Final
from weakref import WeakValueDictionary

from litestar import Response, get
from litestar.exceptions import HTTPException
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from ingest.lab import Peer
from ops.bootstrap import Hub
from ops.proofs import Proofs
from ops.register.access import Gate, HttpRequest
from ops.register.labs import normalised
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import lent
from schemas.errors import PermanentError

from .days import lab_of
from .reports import LaboratoryReport, as_csv, report_of

CSV: Final = "text/csv"


def account_routes(hub: Hub, gate: Gate, proofs: Proofs) -> list[ControllerRouterHandler]:
    """Return the route of a laboratory's day; of one laboratory one is made at a time."""
    turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @get(
        "/v1/laboratories/{laboratory:str}/account/{day:date}",
        summary="What became of a laboratory's messages of a day",
        description="Needs a token or the client certificate of the laboratory itself, or the"
        " operator's token. The day is that of reception, Europe/Paris. Counts by ending, and the"
        " laboratory's own control ids of what was refused or parked. `Accept: text/csv` gives a"
        " table.",
    )
    async def get_account(
        request: HttpRequest, laboratory: FromPath[str], day: FromPath[date]
    ) -> Response[LaboratoryReport]:
        _let_pass(request, gate, proofs, laboratory)
        # Whoever waits for its turn holds no connection.
        turn = turns.setdefault(normalised(laboratory), asyncio.Lock())
        async with turn, lent(hub.pool) as connection:
            try:
                lab = await lab_of(connection, laboratory)
            except PermanentError as error:
                raise HTTPException(status_code=404, detail=error.reason) from None
            report = await report_of(
                connection,
                hub.vault,
                day,
                lab,
                from_copy=hub.is_cluster,
                most_items=hub.settings.account_report_items,
            )
        METRICS.api_requests.labels("account", "200").inc()
        if CSV in request.headers.get("accept", ""):
            as_table: Response[LaboratoryReport] = Response(
                as_csv(report).encode(),  # type: ignore[arg-type]
                media_type=CSV,
            )
            return as_table
        return Response(report)

    return [get_account]


def _let_pass(request: HttpRequest, gate: Gate, proofs: Proofs, laboratory: str) -> None:
    """Let the laboratory that is asked about pass, by what it has proved, and the operator.

    Raises:
        HTTPException: 401 without a proof, 403 with another's, whether or not there is such a
            laboratory.
    """
    if not request.headers.get("authorization"):
        peer = proofs.peer(request.scope, "")
        if isinstance(peer, Peer):
            if normalised(peer.registry_id) != normalised(laboratory):
                raise HTTPException(status_code=403, detail="this is another laboratory's account")
            return
    gate.reader(request, laboratory)
