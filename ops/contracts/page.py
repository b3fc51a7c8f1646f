"""The page at `/docs`: every contract of the hub as plain HTML, without scripts. Pure.

It loads nothing from outside: it can be read where only the hub is reached, and tells nobody who
reads it.
"""

from __future__ import annotations

from html import escape
from typing import Any, Final

from schemas.topics import STREAMS, schema_of

from .access import OPTIONAL
from .versions import versions

Json = dict[str, Any]

FILES: Final = {
    "openapi.json": "OpenAPI 3.1: everything over HTTP",
    "asyncapi.json": "AsyncAPI 3.0: the topics in Apache Kafka (cluster engine)",
    "schemas/versions.json": "Versions of the streams' schemas, and what came with each",
    "data-dictionary.md": "Data dictionary: name, type, unit, codes, meaning, null rule, since",
}
"""What hangs below the page, beside the schemas of the streams."""

_STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 64rem; padding: 0 1rem;
  color: #1b1b1b; background: #fff; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .3rem; }
table { border-collapse: collapse; width: 100%; } th { text-align: left; font-weight: 600; }
td, th { padding: .25rem .6rem .25rem 0; border-bottom: 1px solid #ddd; vertical-align: top; }
code { background: #f4f4f4; padding: 0 .2rem; } summary { cursor: pointer; }
.verb { font-family: ui-monospace, monospace; width: 4.5rem; } .quiet { color: #555; }
"""
# A plugin hands over bytes, not headers: the policy stands in the page.
_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
)


def html(document: Json) -> str:
    """Return the page of a completed OpenAPI document (ops/contracts/openapi.py)."""
    return "".join(
        (
            "<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8>",
            f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>labdispatch: contracts</title><style>{_STYLE}</style></head><body>",
            "<h1>labdispatch: what it takes and gives</h1>",
            "<p>Each of these is generated from the program, and is the same file that its",
            " repository holds.</p>",
            _files(),
            _streams(),
            _operations(document),
            "</body></html>\n",
        )
    )


def _files() -> str:
    rows = "".join(
        f'<li><a href="/docs/{name}">{escape(name)}</a>: {escape(words)}</li>'
        for name, words in FILES.items()
    )
    return f"<h2>Contracts</h2><ul>{rows}</ul>"


def _streams() -> str:
    rows = []
    for stream in STREAMS:
        told = "".join(
            f"<li><code>{stream.value}/{each.version}</code>: {escape(' '.join(each.changes))}</li>"
            for each in reversed(versions()[stream])
        )
        rows.append(
            f'<tr><td><a href="/docs/schemas/{stream.value}.json">{stream.value}</a></td>'
            f"<td><code>{schema_of(stream)}</code></td><td><ul>{told}</ul></td></tr>"
        )
    return (
        "<h2>Streams</h2><table><tr><th>JSON Schema of an event<th>now<th>versions</tr>"
        + "".join(rows)
        + "</table>"
    )


def _operations(document: Json) -> str:
    rows = []
    for path, item in document["paths"].items():
        for method, operation in item.items():
            rows.append(
                f"<tr><td class=verb>{escape(method.upper())}</td><td>"
                f"<details><summary><code>{escape(path)}</code> {escape(_summary(operation))}"
                f"</summary>{_more(operation)}</details></td><td>{_who(operation)}</td></tr>"
            )
    return (
        "<h2>Over HTTP</h2><table><tr><th>method<th>path<th>token</tr>" + "".join(rows) + "</table>"
    )


def _summary(operation: Json) -> str:
    return str(operation.get("summary", ""))


def _more(operation: Json) -> str:
    words = "".join(
        f"<p>{escape(part)}</p>" for part in operation.get("description", "").split("\n\n") if part
    )
    parameters = "".join(
        f"<li><code>{escape(each['name'])}</code> ({escape(each['in'])}"
        f"{', must be' if each.get('required') else ''}) {escape(each.get('description', ''))}</li>"
        for each in operation.get("parameters", ())
    )
    answers = ", ".join(
        f"{escape(status)} <code>{escape(media)}</code>"
        for status, answer in operation["responses"].items()
        if status.startswith("2")
        for media in answer.get("content", {"no body": None})
    )
    return f"{words}<ul>{parameters}</ul><p class=quiet>Answers {answers}.</p>"


def _who(operation: Json) -> str:
    names = [next(iter(each), OPTIONAL) for each in operation["security"]]
    if not names:
        return "none"
    said = " or ".join(escape(name) for name in names if name != OPTIONAL)
    return f"{said}{' (not on loopback)' if OPTIONAL in names else ''}"
