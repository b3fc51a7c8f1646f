"""What a reader's token may be, what it says when it does not serve, and how places are shared."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.problems import hub_problem
from ops.stream_tokens import refusals
from ops.stream_tokens.places import Pace, Places
from ops.stream_tokens.refusals import STATUS, Refused
from ops.stream_tokens.token import (
    MAX_DAYS,
    Quota,
    StreamToken,
    Wish,
    built_in,
    check_quota,
    check_wish,
    pairs_in,
    seconds_to_midnight,
    told_filter,
)
from routing.filters import both, parse_filter
from schemas.errors import PermanentError
from schemas.topics import STREAMS, Stream

NOW = datetime(2026, 3, 6, 12, tzinfo=UTC)
CANARY = "Kanarienvogelin"


def wish(**given: object) -> Wish:
    return Wish(**{"name": "spf", "streams": ["public-health"], **given})  # type: ignore[arg-type]


def token(number: int = 1, most: int = 8, **given: object) -> StreamToken:
    return StreamToken(
        token_id=number,
        name=f"t{number}",
        max_connections=most,
        **{"streams": frozenset({Stream.PUBLIC_HEALTH}), **given},  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"name": CANARY}, "bad_token_name"),
        ({"name": "built-in-dossier"}, "bad_token_name"),
        ({"name": "a" * 41}, "bad_token_name"),
        ({"name": "a\n"}, "bad_token_name"),
        ({"streams": []}, "no_such_stream"),
        ({"streams": [CANARY]}, "no_such_stream"),
        ({"streams": ["dossier"]}, "reason_needed"),
        ({"streams": ["dossier", "contact-tracing"]}, "reason_needed"),
        ({"streams": ["public-health", "contact-tracing"]}, "streams_join"),
        ({"filter": (("condition", CANARY),)}, "bad_filter"),
        ({"filter": ((CANARY, "x"),)}, "bad_filter"),
        ({"filter": (("from", "2026-13-45"),)}, "bad_filter"),
        ({"filter": (("department", "75"),) * 201}, "bad_filter"),
        ({"daily_events": 0}, "bad_quota"),
        ({"max_connections": 0}, "bad_quota"),
        ({"max_connections": 10_001}, "bad_quota"),
        ({"expires_days": 0}, "bad_expiry"),
        ({"expires_days": MAX_DAYS + 1}, "bad_expiry"),
    ],
)
def test_what_cannot_be_a_token_says_why_and_repeats_nothing(
    given: dict[str, object], reason: str
) -> None:
    with pytest.raises(PermanentError) as refused:
        check_wish(wish(**given), "")
    assert refused.value.reason == reason
    assert refused.value.remedy
    assert CANARY not in str(refused.value)


def test_a_token_for_names_is_made_with_a_reason_alone() -> None:
    assert check_wish(wish(streams=["dossier"]), "signed agreement 12") == {Stream.DOSSIER}
    with pytest.raises(PermanentError, match="bad_filter"):  # nothing of a dossier can be left out
        check_wish(wish(streams=["dossier"], filter=(("department", "75"),)), "agreement 12")
    with pytest.raises(PermanentError, match="bad_filter"):
        pairs_in(["condition"])
    assert pairs_in(["department = 75"]) == (("department", "75"),)
    check_quota(Quota(daily_events=None, max_connections=1))


def test_every_refusal_has_a_status_a_next_step_and_no_value() -> None:
    made = [
        refusals.no_token(), refusals.unknown_token(), refusals.not_for_stream("dossier"),
        refusals.expired(), refusals.revoked(), refusals.filter_unreadable(),
        refusals.quota_used(60), refusals.connections_used(8), refusals.reads_too_fast(),
        refusals.readers_full(),
    ]  # fmt: skip
    assert [each.reason for each in made] == list(STATUS)
    for refused in made:
        answer = hub_problem(None, refused)  # type: ignore[arg-type]
        assert answer.status_code == STATUS[refused.reason]
        assert answer.media_type == "application/problem+json"
        assert answer.content.type == f"urn:labdispatch:problem:{refused.reason}"
        assert len(answer.content.detail) > 20
        assert ("Retry-After" in answer.headers) == (answer.status_code == 429)
        assert ("WWW-Authenticate" in answer.headers) == (answer.status_code == 401)


def test_time_and_revocation_end_a_token() -> None:
    held = token(expires_at=NOW)
    held.check(NOW - timedelta(microseconds=1))
    with pytest.raises(Refused, match="token_expired"):
        held.check(NOW)
    with pytest.raises(Refused, match="token_revoked"):
        token(revoked=True, expires_at=NOW).check(NOW - timedelta(days=1))
    built_in(Stream.DOSSIER, 5).check(NOW + timedelta(days=100_000))


def test_a_filter_that_this_release_does_not_know_lets_nothing_through() -> None:
    with pytest.raises(Refused, match="token_filter_unreadable"):
        token(pairs=(("planet", "mars"),)).filter_for(Stream.PUBLIC_HEALTH)
    with pytest.raises(Refused, match="token_not_for_stream"):
        token().filter_for(Stream.DOSSIER)


def test_what_is_told_of_a_filter_is_the_narrowed_one() -> None:
    mine = token(pairs=(("department", "75,92"),)).filter_for(Stream.PUBLIC_HEALTH)
    asked = parse_filter(Stream.PUBLIC_HEALTH, [("department", "92,13"), ("from", "2026-03-01")])
    assert told_filter(both(mine, asked)) == "department 92; from 2026-03-01"
    other = parse_filter(Stream.PUBLIC_HEALTH, [("department", "13")])
    assert told_filter(both(mine, other)) == "nothing"
    assert told_filter(token().filter_for(Stream.PUBLIC_HEALTH)) == "everything"
    many = [("department", ",".join(f"{n:02}" for n in range(1, 96)) * 1)] * 5
    assert len(told_filter(parse_filter(Stream.PUBLIC_HEALTH, many))) < 1_100


@given(st.datetimes(timezones=st.just(UTC)))
@settings(max_examples=50)
def test_a_quota_comes_back_at_midnight(now: datetime) -> None:
    if now.date() >= datetime.max.replace(tzinfo=UTC).date():
        return
    then = now + timedelta(seconds=seconds_to_midnight(now))
    assert then.date() == now.date() + timedelta(days=1)
    assert then.time().replace(microsecond=0) <= datetime.min.time().replace(second=1)


def test_midnight_is_that_of_utc() -> None:
    late = datetime(2026, 3, 6, 23, 59, 30, tzinfo=UTC)
    assert seconds_to_midnight(late) == 31
    assert late.astimezone(timezone(timedelta(hours=2))).date() != late.date()


def test_one_token_has_its_own_number_of_places_and_never_more_than_half() -> None:
    places = Places(10)
    small, large, other = token(1, 2), token(2, 1_000), token(3, 1_000)
    for _ in range(2):
        places.take(small)
    with pytest.raises(Refused, match="connections_used"):
        places.take(small)
    for _ in range(5):
        places.take(large)
    with pytest.raises(Refused, match="connections_used"):
        places.take(large)
    for _ in range(3):
        places.take(other)
    with pytest.raises(Refused, match="readers_full"):
        places.take(token(4))
    places.leave(small)
    places.take(token(4))
    assert places.tokens == {1, 2, 3, 4}


def test_reads_of_names_have_a_pace_of_their_own() -> None:
    now = [0.0]
    pace = Pace(2, lambda: now[0])
    for _ in range(20):
        pace.take(token(1), Stream.DOSSIER)
    with pytest.raises(Refused, match="reads_too_fast"):
        pace.take(token(1), Stream.DOSSIER)
    pace.take(token(1), Stream.PUBLIC_HEALTH)  # no names, no entries
    pace.take(token(2), Stream.DOSSIER)
    pace.forget()
    now[0] += 1
    for _ in range(2):
        pace.take(token(1), Stream.CONTACT_TRACING)
    with pytest.raises(Refused, match="reads_too_fast"):
        pace.take(token(1), Stream.CONTACT_TRACING)
    now[0] += 60
    pace.forget()
    assert pace._buckets == {}


def test_built_in_tokens_read_one_stream_each() -> None:
    for stream in STREAMS:
        held = built_in(stream, 5)
        assert held.is_built_in and held.streams == {stream} and held.daily_events is None
