"""What laboratories are called, in which order, and what is told of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from ops.measuring.laboratories import Asked
from ops.runtime.metrics import METRICS
from ops.runtime.settings import load_settings
from ops.silence import store
from ops.silence.commands import as_text
from ops.silence.past import Past
from ops.silence.routes import noticed
from ops.silence.standing import ORDER, Bounds, Sent, Standing, counted, network_of, stand
from ops.silence.watch import Seen, SilenceWatch, SilentLaboratories, bounds_of
from tests.unit.test_silence import TODAY, known, second
from tests.unit.test_top_laboratories import lab

BOUNDS = Bounds(silent=4, doubtful=2.5, short=4, least_seconds=1_800, days=21)
NOTHING: Any = None


def at(hour: float) -> datetime:
    return datetime.fromtimestamp(second(TODAY, hour), UTC)


def standing(
    last: float | None, received: int, past: Past | None = None, now: float = 15.0, **given: Any
) -> Standing:
    sent = Sent(
        laboratory="LAB1", name="", received=received,
        last_message_at=None if last is None else at(last),
    )  # fmt: skip
    closed = given.pop("closed", frozenset())
    bounds = msgspec.structs.replace(BOUNDS, **given)
    return stand(sent, past, closed, since=at(now - 23), now=at(now), bounds=bounds)


def test_each_word() -> None:
    past = known()
    assert standing(14.98, 280, past).standing == "usual"
    silent = standing(11.0, 120, past)
    assert silent.standing == "silent"
    assert silent.score > 4
    assert silent.silent_seconds == 4 * 3_600
    assert silent.completeness == pytest.approx(120 / 280, abs=0.02)
    assert standing(14.98, 60, past).standing == "short"
    assert standing(14.6, 264, past).standing == "usual", "no shorter silence is judged"
    assert standing(14.6, 264, past, least_seconds=60).standing == "silent"
    assert standing(14.4, 264, past, silent=60).standing == "doubtful"
    assert standing(None, 0, past).standing == "new"
    assert standing(11.0, 120).standing == "new", "it has no past"
    assert standing(11.0, 120, past, days=64).standing == "new", "its past is too short"
    today = frozenset({TODAY.toordinal()})
    assert standing(11.0, 0, past, closed=today).standing == "closed"
    assert standing(11.0, 0, None, closed=today).standing == "closed"


def test_all_together() -> None:
    past = known()
    rows = [standing(14.98, 280, past), standing(11.0, 120, past), standing(None, 0, past)]
    network = network_of(rows)
    assert (network.judged, network.received) == (2, 400)
    assert network.completeness == pytest.approx(400 / 560, abs=0.02)
    assert counted(rows) == {**dict.fromkeys(ORDER, 0), "usual": 1, "silent": 1, "new": 1}
    assert network_of([]).completeness is None


def seen_of(rows: list[Standing]) -> Seen:
    return Seen(at=at(15), since=at(-8), network=network_of(rows), laboratories=rows)


def test_a_terminal_is_shown_the_worst_and_how_many_more() -> None:
    past = known()
    silent, usual = standing(11.0, 120, past), standing(14.98, 280, past)
    assert "none is silent" in as_text(noticed(seen_of([usual])))
    text = as_text(seen_of([silent] * 101 + [usual]))
    assert "LAB1" in text
    assert "4.0 h" in text
    assert "... and 2 more" in text
    assert noticed(seen_of([silent, usual])).laboratories == [silent]


def asked(*last: float) -> Asked:
    rows = [lab(f"LAB{n}", received=120, last_message_at=at(each)) for n, each in enumerate(last)]
    rows.append(lab("OUT", state="suspended", last_message_at=at(-90.0)))
    return Asked(hours=24, since=at(-8), at=at(15), laboratories=rows)


async def test_who_looks_tells_how_many_and_of_whom(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = iter([(2, 1), (0, 0)])
    read = 0

    async def learn_some(*_: Any) -> tuple[int, int]:
        return next(turns)

    async def pasts(*_: Any) -> dict[str, store.Known]:
        nonlocal read
        read += 1
        return {f"LAB{n}": store.Known(lab_id=n, past=known()) for n in range(2)}

    async def closures(*_: Any) -> dict[int, frozenset[int]]:
        return {}

    for name, fake in (("learn_some", learn_some), ("pasts", pasts), ("closures", closures),
                       ("forget_closures", closures)):  # fmt: skip
        monkeypatch.setattr(store, name, fake)
    watch = SilenceWatch(BOUNDS, learn_most=2)
    scores = await watch.look(NOTHING, asked(11.0, 14.98, 14.0))
    assert set(scores) == {"LAB0", "LAB1"}, "the second sends too little"
    assert METRICS.silence_pasts_due._value.get() == 1
    assert METRICS.laboratories_standing.labels("silent")._value.get() == 1
    assert METRICS.laboratories_standing.labels("new")._value.get() == 1, "no past"
    assert METRICS.laboratories_judged._value.get() == 2
    assert 0 < METRICS.network_completeness._value.get() < 1
    await watch.look(NOTHING, asked(11.0))
    assert read == 1, "nothing was learned since: pasts are held"
    METRICS.silence_is_unknown()
    assert METRICS.laboratories_judged._value.get() != METRICS.laboratories_judged._value.get()


async def test_pasts_that_were_learned_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0

    async def pasts(*_: Any) -> dict[str, store.Known]:
        nonlocal read
        read += 1
        return {}

    async def closures(*_: Any) -> dict[int, frozenset[int]]:
        return {}

    monkeypatch.setattr(store, "pasts", pasts)
    monkeypatch.setattr(store, "closures", closures)
    silent = SilentLaboratories(BOUNDS)
    for _ in range(2):
        await silent.judge(NOTHING, asked(11.0))
    assert read == 1
    silent.read_anew()
    await silent.judge(NOTHING, asked(11.0))
    assert read == 2


def test_bounds_stand_in_their_order(tmp_path: Any) -> None:
    bounds = bounds_of(load_settings(data_dir=tmp_path))
    assert bounds.doubtful < bounds.silent
    assert timedelta(seconds=bounds.least_seconds) >= timedelta(minutes=10)
    assert timedelta(days=bounds.days) < timedelta(days=63)
