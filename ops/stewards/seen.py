"""What a steward sees is audited before it is given: by whom, what, and whether with values."""

from __future__ import annotations

from uuid import UUID

from ops.asking import Asker, check_asker
from ops.runtime.postgres import Connection

from . import desk, queries
from .acts import Stewards
from .desk import Event, Item, Shown
from .explaining import Explained, explain
from .persons import look


async def see_list(
    connection: Connection, asker: Asker, *, guard: str, priority: int, limit: int, skip: int = 0
) -> list[Item]:
    """Return open items, once it is audited that they were asked for."""
    await _audit(connection, asker, "review_list", "review")
    return await desk.list_items(connection, guard=guard, priority=priority, limit=limit, skip=skip)


async def see_item(
    connection: Connection, stewards: Stewards, asker: Asker, item: int, *, with_values: bool
) -> Shown:
    """Return an item with both sides.

    Raises:
        PermanentError: There is no such item.
    """
    action = "review_show_identity" if with_values else "review_show"
    await _audit(connection, asker, action, f"review item {item}")
    return await desk.show_item(
        connection,
        stewards.store,
        item,
        with_values=with_values,
        most=stewards.most_persons,
    )


async def see_history(
    connection: Connection, stewards: Stewards, asker: Asker, person: int
) -> list[Event]:
    """Return what was decided about a person and everybody it stands for, the newest first.

    Raises:
        PermanentError: There is no such person.
    """
    await _audit(connection, asker, "review_history", f"person {person}")
    held = await look(connection, [person], most=stewards.most_persons)
    return await desk.history_of(connection, held.everybody)


async def see_decision(
    connection: Connection, stewards: Stewards, asker: Asker, report: UUID
) -> Explained:
    """Return the decision about a report, step by step.

    Raises:
        PermanentError: There is no such report.
    """
    await _audit(connection, asker, "identity_explain", f"report {report}")
    return await explain(connection, stewards.store, stewards.sources, report)


async def _audit(connection: Connection, asker: Asker, action: str, subject: str) -> None:
    check_asker(asker)
    await connection.fetchval(queries.AUDIT, asker.actor, action, subject, asker.reason)
