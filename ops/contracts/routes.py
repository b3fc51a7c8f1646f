"""`/docs`: the page of all contracts, and each as a file; no token needed, for none holds a value.

The files are those of the package, which tests hold against the types and the routes.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any, Final

from litestar import MediaType, Response, Router, get
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.params import FromPath

from schemas.topics import STREAMS

from . import dictionary
from .openapi import Contract, HttpRequest, served
from .page import html

MARKDOWN: Final = "text/markdown; charset=utf-8"
_SCHEMAS: Final = frozenset({*(f"{stream.value}.json" for stream in STREAMS), "versions.json"})


class ContractsPage(OpenAPIRenderPlugin):
    """Serves the page at `/docs` itself, and the other contracts below it."""

    def __init__(self) -> None:
        super().__init__(path="/", media_type=MediaType.HTML)
        self._made: bytes | None = None

    def render(self, _: HttpRequest, openapi_schema: dict[str, Any]) -> bytes:
        """Return the page's bytes."""
        if self._made is None:
            self._made = html(served(openapi_schema)).encode()
        return self._made

    def receive_router(self, router: Router) -> None:
        """Hang the files below the page."""
        router.register(_get_asyncapi)
        router.register(_get_schema)
        router.register(_get_dictionary)


def docs_config() -> OpenAPIConfig:
    """Return what the application says of itself, and how `/docs` shows it."""
    return OpenAPIConfig(
        title="labdispatch",
        version="1",
        description="Real-time dispatch of laboratory results.",
        path="/docs",
        render_plugins=[ContractsPage(), Contract()],
        use_handler_docstrings=True,
    )


@cache
def contract(name: str) -> bytes:
    """Return a file of `schemas/json`."""
    return (files("schemas") / "json" / name).read_bytes()


@get("/asyncapi.json", media_type="application/vnd.aai.asyncapi+json", sync_to_thread=False)
def _get_asyncapi() -> bytes:
    return contract("asyncapi.json")


@get("/schemas/{name:str}", media_type="application/schema+json", sync_to_thread=False)
def _get_schema(name: FromPath[str]) -> bytes:
    if name not in _SCHEMAS:
        raise HTTPException(
            status_code=404, detail=f"the schemas are {', '.join(sorted(_SCHEMAS))}"
        )
    return contract(name)


@get("/data-dictionary.md", sync_to_thread=False)
def _get_dictionary() -> Response[str]:
    return Response(_dictionary(), media_type=MARKDOWN)


@cache
def _dictionary() -> str:
    return dictionary.text()
