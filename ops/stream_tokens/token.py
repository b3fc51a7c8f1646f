"""A token of a reader: what it may read, how much and until when; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from routing.filters import StreamFilter, pairs_of, parse_filter
from schemas.errors import PermanentError
from schemas.topics import NOMINATIVE_STREAMS, STREAMS, Stream

from . import refusals

Pairs = tuple[tuple[str, str], ...]
"""A filter as it is written: name and value."""

DEFAULT_DAYS: Final = 365
MAX_DAYS: Final = 1_826
DEFAULT_CONNECTIONS: Final = 8
MAX_CONNECTIONS: Final = 10_000
MAX_DAILY: Final = 10_000_000_000
_MAX_PAIRS: Final = 200
_MAX_TOLD: Final = 1_000
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,39}")
_BUILT_IN: Final = "built-in-"
"""Of the tokens of `tokens.json`: no other token is called so."""


class Wish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token as it is asked for."""

    name: str
    """For whom: a to z, 0 to 9 and -, at most 40."""
    streams: list[str]
    filter: Pairs = ()
    """The token reads only what fits; a reader's own filter can only narrow it."""
    daily_events: int | None = None
    """Events of a day (UTC); null: no quota."""
    max_connections: int = DEFAULT_CONNECTIONS
    """At once, at all api processes of a machine together."""
    expires_days: int = DEFAULT_DAYS


class Quota(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much a token may read; null is no quota of the day."""

    daily_events: int | None
    max_connections: int


class StreamToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token that was made, without its secret. Of `tokens.json`: `token_id` 0."""

    token_id: int
    name: str
    streams: frozenset[Stream]
    pairs: Pairs = ()
    daily_events: int | None = None
    max_connections: int
    expires_at: datetime | None = None
    """None: of `tokens.json`."""
    revoked: bool = False

    @property
    def is_built_in(self) -> bool:
        """Whether it stands in `tokens.json`, and not in the database."""
        return self.token_id == 0

    def check(self, now: datetime) -> None:
        """Look whether it counts at a moment.

        Raises:
            Refused: `token_revoked`, `token_expired`.
        """
        if self.revoked:
            raise refusals.revoked()
        if self.expires_at is not None and now >= self.expires_at:
            raise refusals.expired()

    def filter_for(self, stream: Stream) -> StreamFilter:
        """Return its own filter of a stream.

        Raises:
            Refused: `token_not_for_stream`, `token_filter_unreadable`: fails closed.
        """
        if stream not in self.streams:
            raise refusals.not_for_stream(told_streams(self.streams))
        try:
            return parse_filter(stream, self.pairs)
        except PermanentError:
            raise refusals.filter_unreadable() from None


def built_in(stream: Stream, max_connections: int) -> StreamToken:
    """Return the token of a stream that `tokens.json` has: no quota, no end."""
    return StreamToken(
        token_id=0,
        name=_BUILT_IN + stream.value,
        streams=frozenset({stream}),
        max_connections=max_connections,
    )


def check_wish(wish: Wish, reason: str) -> frozenset[Stream]:
    """Refuse a token that cannot be made; return its streams.

    Raises:
        PermanentError: What does not fit, by its name; never its value.
    """
    if not _NAME.fullmatch(wish.name) or wish.name.startswith(_BUILT_IN):
        raise PermanentError(
            "bad_token_name",
            f"a name is a to z, 0 to 9 and -, at most 40, and does not begin with {_BUILT_IN}",
        )
    known = {stream.value for stream in STREAMS}
    if not wish.streams or not known.issuperset(wish.streams):
        raise PermanentError("no_such_stream", f"name one or more of {told_streams(STREAMS)}")
    streams = frozenset(Stream(each) for each in wish.streams)
    if streams & NOMINATIVE_STREAMS and Stream.PUBLIC_HEALTH in streams:
        raise PermanentError(
            "streams_join",
            "report_id is the same in all streams: who reads public-health beside a stream with"
            " names knows whose each row is. Make a token each, for different readers",
        )
    if streams & NOMINATIVE_STREAMS and not reason.strip():
        raise PermanentError(
            "reason_needed",
            f"a token for {told_streams(streams & NOMINATIVE_STREAMS)} reads names: say why"
            " (--reason, header X-Reason); it is kept in the audit trail",
        )
    if len(wish.filter) > _MAX_PAIRS:
        raise PermanentError("bad_filter", f"give at most {_MAX_PAIRS} parts")
    for stream in sorted(streams):
        parse_filter(stream, wish.filter)
    check_quota(Quota(daily_events=wish.daily_events, max_connections=wish.max_connections))
    if not 1 <= wish.expires_days <= MAX_DAYS:
        raise PermanentError("bad_expiry", f"a token holds for 1 to {MAX_DAYS} days")
    return streams


def check_quota(quota: Quota) -> None:
    """Refuse limits that are none.

    Raises:
        PermanentError: `bad_quota`.
    """
    if quota.daily_events is not None and not 1 <= quota.daily_events <= MAX_DAILY:
        raise PermanentError("bad_quota", f"events of a day are 1 to {MAX_DAILY:,}, or none")
    if not 1 <= quota.max_connections <= MAX_CONNECTIONS:
        raise PermanentError("bad_quota", f"connections are 1 to {MAX_CONNECTIONS:,}")


def pairs_in(words: Sequence[str]) -> Pairs:
    """Return the filter of `name=value` words, as the command line takes them.

    Raises:
        PermanentError: `bad_filter`: a word without `=`.
    """
    pairs = []
    for word in words:
        name, given, value = word.partition("=")
        if not given:
            raise PermanentError("bad_filter", "write each part as NAME=VALUE")
        pairs.append((name.strip(), value.strip()))
    return tuple(pairs)


def told_streams(streams: Iterable[Stream]) -> str:
    """Return the names of streams, for a reader's eyes."""
    return ", ".join(stream.value for stream in STREAMS if stream in frozenset(streams))


def told_filter(asked: StreamFilter) -> str:
    """Return a filter as one line for the audit chain; `everything` where it keeps nothing back."""
    if asked.is_nothing:
        return "nothing"
    told = "; ".join(f"{name} {value}" for name, value in pairs_of(asked)) or "everything"
    return told if len(told) <= _MAX_TOLD else f"{told[:_MAX_TOLD]} and more"


def seconds_to_midnight(now: datetime) -> int:
    """Return the seconds until the next day (UTC), when a quota is whole again."""
    midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), now.tzinfo)
    return max(1, int((midnight - now).total_seconds()) + 1)
