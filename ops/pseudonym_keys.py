"""The keys of pseudonyms, for an operator: which there are, and destroying one for ever."""

from __future__ import annotations

import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from ops.asking import Asker, check_asker
from ops.looking import instance_at
from ops.printing import print_json
from ops.runtime.postgres import translated
from ops.runtime.vault import PseudonymKey
from routing.pseudonym import NEXT_DAYS, period_of
from schemas.errors import PermanentError

AUDIT: Final = "SELECT audit_append($1, 'pseudonyms_retired', $2, $3)"


async def print_keys(data_dir: Path, *, as_json: bool) -> int:
    """Print which keys there are and which were retired; never a key."""
    async with instance_at(data_dir) as hub:
        found = hub.vault.pseudonym_keys()
    if as_json:
        print_json(found)
        return 0
    lines = [
        f"{k.period}  {k.purpose:<28} {'retired' if k.is_retired else 'in use'}" for k in found
    ]
    sys.stdout.write("".join(f"{line}\n" for line in lines) or "none was asked for yet\n")
    return 0


async def retire(data_dir: Path, purpose: str, period: str, *, actor: str, reason: str) -> int:
    """Destroy the key of a purpose and period, once it is in the audit chain.

    Raises:
        PermanentError: There is no such key, or its period is not over for `NEXT_DAYS` days.
    """
    check_asker(Asker(actor=actor, reason=reason))
    async with instance_at(data_dir) as hub:
        check_retirable(hub.vault.pseudonym_keys(), purpose, period, hub.clock.now().date())
        with translated():
            async with hub.pool.acquire() as connection:
                await connection.fetchval(AUDIT, actor, f"{purpose} {period}", reason)
        hub.vault.retire_pseudonym_key(purpose, period)
    sys.stdout.write(
        f"{purpose} {period}: destroyed. Start dispatch anew: a process that has used the key holds"
        " it in memory until then.\n"
    )
    return 0


def check_retirable(keys: list[PseudonymKey], purpose: str, period: str, today: date) -> None:
    """Refuse what would cut pseudonyms that are in use, and what is a slip of the pen.

    Raises:
        PermanentError: `no_such_key` or `period_not_over`: a period is used for as long after its
            end as the one before it knew the next.
    """
    known = {(each.purpose, each.period) for each in keys}
    if (purpose, period) not in known:
        raise PermanentError("no_such_key", "`labdispatch pseudonyms list` shows which there are")
    if period >= period_of(today - timedelta(days=NEXT_DAYS)):
        raise PermanentError(
            "period_not_over",
            f"results of this period still come, and are corrected: wait until it is over for"
            f" {NEXT_DAYS} days",
        )
