"""`labdispatch streams verify`: what it prints."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ops.behind_the_door import dispatcher_of, verifier_of
from ops.looking import instance_at
from ops.printing import print_json, table_of
from schemas.topics import STREAMS, Stream

from .differences import Verified


async def verify_streams(
    data_dir: Path, names: Sequence[str], *, sample: int | None, as_json: bool
) -> int:
    """Print whether the streams hold what they should; give 1 when they do not."""
    streams = [Stream(name) for name in names] or list(STREAMS)
    async with instance_at(data_dir) as hub:
        found = await verifier_of(hub, dispatcher_of(hub)).verify(streams, sample=sample)
    if as_json:
        print_json({"agrees": found.agrees, **as_plain(found)})
    else:
        sys.stdout.write(as_text(found, streams))
    return 0 if found.agrees else 1


def as_plain(found: Verified) -> dict[str, object]:
    """Return what was found for a program."""
    return {name: getattr(found, name) for name in Verified.__struct_fields__}


def as_text(found: Verified, streams: Sequence[Stream]) -> str:
    """Return what was found for a terminal: numbers and report ids, never a value."""
    rows = [
        [
            stream.value,
            found.compared[stream],
            found.published[stream],
            found.waiting[stream],
            sum(n for what, n in found.differ.items() if what.startswith(f"{stream} ")),
        ]
        for stream in streams
    ]
    text = f"{found.reports:,} reports of {found.persons:,} persons, computed from scratch\n\n"
    text += table_of(["stream", "compared", "published", "waiting", "differ"], rows)
    for n, said in (
        (found.pending, "differ and are still to be emitted again: look again later"),
        (found.older_rules, "differ and were judged by rules that are in effect no more"),
        (found.unreadable, "reports can be read no more: compared with the outbox only"),
        (found.expired, "events can be opened no more"),
        (found.capped, "persons have more reports than cases are made of: dossier only"),
    ):
        if n:
            text += f"{n:,} {said}\n"
    if found.agrees:
        return text + "every stream holds what it should\n"
    text += "\nwhat differs (docs/runbooks/streams-differ.md)\n"
    text += table_of(["what", "reports"], [[what, n] for what, n in sorted(found.differ.items())])
    for each in found.listed:
        where = (str(each.report_id), each.stream, each.part, each.what)
        text += " ".join(filter(None, where)) + "\n"
    left = sum(found.differ.values()) - len(found.listed)
    return text + (f"and {left:,} more\n" if left else "")
