"""Writes that are sent together come before whatever could see them, and each once."""

from __future__ import annotations

from typing import Any

import pytest

from ops.runtime.writes import GatheredWrites

INTO_A = "INSERT INTO a (x, y) SELECT x, $2 FROM unnest($1::integer[]) AS n (x)"
UPDATE_B = "\nUPDATE b SET y = $1 WHERE x = $2\n"
FROM_C = "DELETE FROM c WHERE x = $1 -- of c alone"


class Sent:
    """Notes what a server would get."""

    def __init__(self) -> None:
        self.statements: list[tuple[str, tuple[object, ...]]] = []

    async def execute(self, query: str, *args: object, timeout: float | None = None) -> str:
        self.statements.append((query, args))
        return "DONE"

    async def fetch(self, query: str, *args: object, timeout: float | None = None) -> list[Any]:
        await self.execute(query, *args, timeout=timeout)
        return []

    async def fetchrow(self, query: str, *args: object, timeout: float | None = None) -> Any:
        return await self.fetch(query, *args, timeout=timeout)

    async def fetchval(self, query: str, *args: object, timeout: float | None = None) -> Any:
        return await self.fetch(query, *args, timeout=timeout)

    def transaction(self) -> Any:
        raise NotImplementedError


async def test_writes_to_different_tables_are_one_statement_with_the_parameters_of_all() -> None:
    sent = Sent()
    writes = GatheredWrites(sent)
    await writes.execute(INTO_A, [1], 2)
    await writes.execute(UPDATE_B, 3, 4)
    await writes.execute(FROM_C, 5)
    assert sent.statements == []
    await writes.send()
    ((query, args),) = sent.statements
    assert args == ([1], 2, 3, 4, 5)
    assert query == (
        "WITH w1 AS (\nINSERT INTO a (x, y) SELECT x, $2 FROM unnest($1::integer[]) AS n (x)\n),"
        " w2 AS (\n\nUPDATE b SET y = $3 WHERE x = $4\n\n),"
        " w3 AS (\nDELETE FROM c WHERE x = $5 -- of c alone\n) SELECT"
    )
    await writes.send()
    assert len(sent.statements) == 1


async def test_one_write_alone_goes_as_it_is() -> None:
    sent = Sent()
    writes = GatheredWrites(sent)
    await writes.execute(UPDATE_B, 3, 4)
    await writes.send()
    assert sent.statements == [(UPDATE_B, (3, 4))]


@pytest.mark.parametrize(
    "seer",
    [
        "SELECT x FROM a",
        "WITH RECURSIVE up AS (SELECT x FROM d) SELECT * FROM up JOIN a USING (x)",
        "SELECT audit_append($1)",
        "SELECT one_of_ours(x) FROM d",
        "INSERT INTO d (x) VALUES (1) RETURNING x",
        "WITH gone AS (DELETE FROM d RETURNING x) SELECT x FROM gone",
        "UPDATE a SET y = 1",
        "INSERT INTO d SELECT x FROM a",
        "LOCK TABLE d",
    ],
)
async def test_whatever_could_see_a_write_comes_after_it(seer: str) -> None:
    sent = Sent()
    writes = GatheredWrites(sent)
    await writes.execute(INTO_A, [1], 2)
    await (writes.execute if seer[:3] in {"UPD", "INS", "LOC"} else writes.fetch)(seer)
    assert sent.statements[0] == (INTO_A, ([1], 2))
    await writes.send()
    assert [query for query, _ in sent.statements] == [INTO_A, seer]


@pytest.mark.parametrize(
    "read",
    [
        "SELECT count(x) FROM d JOIN unnest($1::text[]) AS e (x) USING (x) FOR UPDATE",
        "WITH e AS (SELECT x FROM d) SELECT x FROM e",
    ],
)
async def test_a_look_at_other_tables_does_not_wait(read: str) -> None:
    sent = Sent()
    writes = GatheredWrites(sent)
    await writes.execute(INTO_A, [1], 2)
    for fetch in (writes.fetch, writes.fetchrow, writes.fetchval):
        await fetch(read)
    await writes.send()
    assert [query for query, _ in sent.statements] == [read, read, read, INTO_A]


async def test_a_statement_stays_short_enough_to_be_kept_prepared() -> None:
    sent = Sent()
    writes = GatheredWrites(sent)
    for n in range(40):
        await writes.execute(f"DELETE FROM t{'abcdefghij'[n % 10] * (n // 10 + 1)} -- {'x' * 900}")
    await writes.send()
    assert len(sent.statements) > 2
    assert all(len(query) < 14_000 for query, _ in sent.statements)
