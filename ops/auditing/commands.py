"""`labdispatch audit`: prove the chain, look something up."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from ops.looking import instance_at
from ops.printing import print_json
from schemas.errors import PermanentError

from .reading import Search, prove, search

_DIGEST_BYTES: Final = 32


async def print_proof(data_dir: Path, anchor: str, *, as_json: bool) -> int:
    """Print whether the chain is whole; give 1 when it is not."""
    async with instance_at(data_dir) as hub:
        proof = await prove(hub.pool, _digest_in(anchor))
    if as_json:
        print_json(proof)
    elif proof.broken_at is not None:
        sys.stdout.write(
            f"BROKEN at entry {proof.broken_at}: {proof.why}\n"
            f"right up to entry {proof.entries} (docs/runbooks/audit-broken.md)\n"
        )
    else:
        sys.stdout.write(f"{proof.entries:,} entries, each behind the one before it\n")
        sys.stdout.write(f"head {proof.head}\n")
        if proof.has_anchor is False:
            sys.stdout.write("THE DIGEST THAT WAS KEPT IS NOT IN IT: it was made anew, or cut\n")
        if proof.false_certificate is not None:
            sys.stdout.write(
                f"CERTIFICATE {proof.false_certificate} is not what the chain says of it\n"
            )
    return 0 if proof.holds else 1


async def print_found(data_dir: Path, asked: Search, *, as_json: bool) -> int:
    """Print a page of entries, the newest first; give 1 when there is none."""
    async with instance_at(data_dir) as hub:
        rows = await search(hub.pool, asked)
    if as_json:
        print_json([dict(row) for row in rows])
        return 0 if rows else 1
    for row in rows:
        sys.stdout.write(
            f"{row['audit_id']:>8}  {row['at']:%Y-%m-%d %H:%M:%S}  {row['actor']}  {row['action']}"
            f"  {row['subject']}  {row['reason']}\n"
        )
    if len(rows) == asked.limit:
        sys.stdout.write(f"older ones: --before {rows[-1]['audit_id']}\n")
    return 0 if rows else 1


def _digest_in(text: str) -> bytes | None:
    if not text:
        return None
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b""
    if len(digest) != _DIGEST_BYTES:
        raise PermanentError("not_a_digest", "--head takes the 64 hexadecimals of an earlier run")
    return digest
