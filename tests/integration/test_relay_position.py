from __future__ import annotations

from ops.runtime.postgres import open_pool
from routing.positions import Noted, Positions
from schemas.topics import Stream
from tests.support.postgres import Database


async def test_notes_go_forward_unless_the_topic_itself_was_looked_at(database: Database) -> None:
    """A relay that was fenced knows less than the one after it; a topic made anew begins anew."""
    pool = await open_pool(database.connect_kwargs, "relay", max_size=1)
    try:
        notes = Positions(pool)
        assert await notes.load(Stream.DOSSIER) == {}
        later, earlier = Noted(seq=5, log_offset=9), Noted(seq=4, log_offset=7)
        await notes.note(Stream.DOSSIER, {0: later, 3: earlier}, seen=False)
        await notes.note(Stream.DOSSIER, {0: earlier, 3: later}, seen=False)
        assert await notes.load(Stream.DOSSIER) == {0: later, 3: later}
        await notes.note(Stream.DOSSIER, {0: earlier}, seen=True)
        assert await notes.load(Stream.DOSSIER) == {0: earlier, 3: later}
        await notes.note(Stream.DOSSIER, {}, seen=True)
        assert await notes.load(Stream.PUBLIC_HEALTH) == {}
    finally:
        await pool.close()
