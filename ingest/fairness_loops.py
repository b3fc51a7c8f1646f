"""A sender that loops on the same bytes: recognised on its connection, bounded. Pure."""

from __future__ import annotations

from uuid import UUID

Verdict = tuple[object, int]
"""Ruling and version of the profile: another verdict about the same bytes is not the same."""


class _Sending:
    __slots__ = ("count", "is_durable", "since", "verdict")

    def __init__(self, verdict: Verdict, since: float) -> None:
        self.verdict = verdict
        self.since = since
        self.count = 1
        self.is_durable = False


class LoopBreaker:
    """Says when equal bytes came so often that they need not be appended once more.

    It says so only for bytes of which this process itself saw an append become durable, under the
    same verdict; and after `seconds` it forgets them, so that they are appended again.

    Args:
        repeats: How many equal messages are appended before.
        seconds: Within which time.
        keys: How many different messages are kept in mind; the oldest goes first.
    """

    __slots__ = ("_keys", "_repeats", "_seconds", "_seen")

    def __init__(self, *, repeats: int, seconds: float, keys: int) -> None:
        self._repeats = repeats
        self._seconds = seconds
        self._keys = keys
        # Made at the first message: most connections of a national hub are idle.
        self._seen: dict[UUID, _Sending] | None = None

    def __len__(self) -> int:
        return len(self._seen or ())

    def _get(self, key: UUID) -> _Sending | None:
        return None if self._seen is None else self._seen.get(key)

    def is_loop(self, key: UUID, verdict: Verdict, now: float) -> bool:
        """Count one message; say whether it is to be answered without an append."""
        if self._seen is None:
            self._seen = {}
        # Taken out and put in again it stands last: dicts keep the order of insertion.
        sending = self._seen.pop(key, None)
        is_same = sending is not None and sending.verdict == verdict
        if sending is None or not is_same or now - sending.since > self._seconds:
            self._seen[key] = _Sending(verdict, now)
            if len(self._seen) > self._keys:
                del self._seen[next(iter(self._seen))]
            return False
        sending.count += 1
        self._seen[key] = sending
        return sending.is_durable and sending.count > self._repeats

    def watches(self, key: UUID) -> bool:
        """Say whether it matters that an append of these bytes becomes durable."""
        sending = self._get(key)
        return sending is not None and sending.count > 1 and not sending.is_durable

    def is_durable(self, key: UUID, verdict: Verdict) -> None:
        """Note that an append of these bytes, under this verdict, became durable."""
        sending = self._get(key)
        if sending is not None and sending.verdict == verdict:
            sending.is_durable = True
