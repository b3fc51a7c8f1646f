"""Who sends through a folder: its laboratory alone. The one place that knows how that is proved."""

from __future__ import annotations

from ingest.accept import Acceptor, Answer, DoorCounts, Receipt
from ingest.ack import build_acks
from ingest.batch import SENDER_DIFFERS
from ingest.catalogue import finding
from ingest.header import Header, read_header
from ingest.judge import Ruling
from ops.runtime.clock import Clock
from ops.runtime.metrics import METRICS


class FolderPeer:
    """The door as one laboratory's folder has it: what another laboratory sent gets AR.

    Args:
        acceptor: The one way in.
        registry_id: The laboratory whose folder it is.
        counts: What is answered and not logged.
        clock: The time of such an answer.
    """

    def __init__(
        self, acceptor: Acceptor, registry_id: str, counts: DoorCounts, clock: Clock
    ) -> None:
        self._acceptor = acceptor
        self._registry_id = registry_id
        self._counts = counts
        self._clock = clock

    def receive(self, raw: bytes) -> Receipt:
        """Take one message if it is this laboratory's. Never raises."""
        header = read_header(raw)
        if isinstance(header, Header) and header.registry_id != self._registry_id:
            return self._refuse(header)
        return self._acceptor.receive(raw)

    def turn_away(self, reason: str, head: bytes) -> Receipt | None:
        """Answer a message that is not whole, if its header can be read."""
        return self._acceptor.turn_away(reason, head)

    def _refuse(self, header: Header) -> Receipt:
        self._counts.add("AR", SENDER_DIFFERS)
        METRICS.answers.labels("AR").inc()
        acks = build_acks(
            header,
            Ruling.REJECT,
            (finding(SENDER_DIFFERS),),
            at=self._clock.now(),
            wants_no_answer=False,
        )
        return Receipt(Answer(parts=acks))
