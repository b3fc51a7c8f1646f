"""`POST /v1/batches` and what became of it: files of messages over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final
from uuid import UUID

from litestar import MediaType, Request, Response, get, post
from litestar.exceptions import HTTPException
from litestar.params import FromPath, QueryParameter
from litestar.response import Stream
from litestar.types import ControllerRouterHandler

from ops.runtime.metrics import METRICS

from .batch import Batch, Summary, checked_name, summary_of
from .door import BatchDoor
from .store import BatchStore
from .uploads import SENDER, TooLarge, Uploads

ER7: Final = "application/hl7-v2+er7"
HttpRequest = Request[Any, Any, Any]


def who_sends(_: HttpRequest) -> str:
    """Return in whose name space a file's name is. As `POST /v1/messages`: whoever can connect."""
    return SENDER


def routes_of(files: BatchDoor) -> list[ControllerRouterHandler]:
    """Return the handlers of files, within the bounds of the settings."""
    return batch_routes(
        files.uploads,
        files.store,
        max_bytes=files.settings.batch_max_bytes,
        answer_seconds=files.settings.batch_answer_seconds,
    )


def batch_routes(
    uploads: Uploads, store: BatchStore, *, max_bytes: int, answer_seconds: float
) -> list[ControllerRouterHandler]:
    """Return the handlers of files."""

    @post(
        "/v1/batches",
        status_code=200,
        media_type=ER7,
        summary="Send a file of HL7 v2 messages",
        request_max_body_size=max_bytes,
    )
    async def post_batch(
        request: HttpRequest,
        name: Annotated[
            str, QueryParameter(description="Of the file; or the header Idempotency-Key.")
        ] = "",
    ) -> Response[Any]:
        """Take FHS/BHS/BTS/FTS, bare messages one after another, or MLLP frames.

        200 with the acknowledgement file (or a summary, with `Accept: application/json`); 202 with
        a Location when it takes longer. The same name and bytes again give the same answer, and
        nothing is appended. 413, 415; 503 with Retry-After while nothing can be taken.
        """
        given = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if given != ER7:
            raise HTTPException(status_code=415, detail=f"send Content-Type: {ER7}")
        sender = who_sends(request)
        key = name or request.headers.get("idempotency-key", "")
        uploads.check_open()
        try:
            batch = await uploads.take(checked_name(key) if key else "", sender, request.stream())
        except TooLarge as error:
            raise HTTPException(status_code=413, detail=error.remedy) from None
        batch = await uploads.wait(batch, answer_seconds)
        status = 200 if batch.state == "done" else 202
        METRICS.api_requests.labels("batches", str(status)).inc()
        headers = {"Location": f"/v1/batches/{batch.batch_id}"}
        wants_json = "application/json" in request.headers.get("accept", "")
        if status == 200 and not wants_json:
            return _acknowledgements(store, batch, headers)
        return Response(
            summary_of(batch), status_code=status, media_type=MediaType.JSON, headers=headers
        )

    @get("/v1/batches/{batch_id:uuid}", summary="What became of a file")
    async def get_batch(request: HttpRequest, batch_id: FromPath[UUID]) -> Summary:
        """Return how far it is read, what was answered, and what was found."""
        batch = await _known(store, batch_id, who_sends(request))
        METRICS.api_requests.labels("batches", "200").inc()
        return summary_of(batch)

    @get("/v1/batches/{batch_id:uuid}/ack", media_type=ER7, summary="The answer to a file")
    async def get_acknowledgements(request: HttpRequest, batch_id: FromPath[UUID]) -> Response[Any]:
        """Return the acknowledgement file: one ACK a message, in order."""
        batch = await _known(store, batch_id, who_sends(request))
        if batch.state != "done":
            raise HTTPException(
                status_code=409,
                detail="the file is being read still: ask again",
                headers={"Retry-After": "5"},
            )
        METRICS.api_requests.labels("batches", "200").inc()
        return _acknowledgements(store, batch, {})

    return [post_batch, get_batch, get_acknowledgements]


async def _known(store: BatchStore, batch_id: UUID, sender: str) -> Batch:
    batch = await store.find(batch_id)
    if batch is None or batch.sender != sender or batch.door != "http":
        raise HTTPException(status_code=404, detail="no such file was sent here")
    return batch


def _acknowledgements(store: BatchStore, batch: Batch, headers: dict[str, str]) -> Response[Any]:
    async def pieces() -> AsyncIterator[bytes]:
        async for piece in store.answers(batch):
            yield piece

    return Stream(pieces, media_type=ER7, headers=headers)
