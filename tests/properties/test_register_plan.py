"""A change of the register, whatever is asked: twice is as once, and a facility has one owner."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from ops.register.lab_plan import Entry, Plan
from ops.register.lab_rows import LabRow, faults_of, tidy

NAMES = st.sampled_from(["A", "B", "C", "D", "S1", "S2", "S3"])
MAYBE_LIMIT = st.sampled_from([UNSET, None, 1, 7])
ROWS = st.lists(
    st.builds(
        LabRow,
        registry_id=NAMES,
        name=st.sampled_from([UNSET, "", "Lab"]),
        state=st.sampled_from([UNSET, "onboarding", "live", "suspended"]),
        profile=st.sampled_from([UNSET, "fr", "generic"]),
        facilities=st.one_of(st.just(UNSET), st.lists(NAMES, max_size=3).map(tuple)),
        subject=st.sampled_from([UNSET, "CN=1", "CN=2"]),
        rate_per_second=MAYBE_LIMIT,
        daily_quota=MAYBE_LIMIT,
    ),
    max_size=6,
    unique_by=lambda row: row.registry_id,
)


def applied(held: dict[str, Entry], plan: Plan) -> dict[str, Entry]:
    after = dict(held)
    for entry in (*plan.new, *plan.changed):
        number = entry.lab_id or 1 + len(after)
        after[entry.registry_id] = msgspec.structs.replace(entry, lab_id=number)
    gone, fresh = plan.facility_moves()
    assert set(gone) >= set(fresh) & {name for each in held.values() for name in each.facilities}
    return after


@given(st.lists(ROWS, max_size=4))
def test_changes_one_after_the_other_keep_the_register_whole(files: list[list[LabRow]]) -> None:
    held: dict[str, Entry] = {}
    rules: dict[str, int] = {}
    for given_rows in files:
        rows = [tidy(row) for row in given_rows]
        assert not any(faults_of(row) for row in rows)
        plan = Plan(held, rules, rows, "any")
        if plan.errors:
            continue
        held = applied(held, plan)
        rules |= {subject: held[name].lab_id for subject, name in plan.new_rules.items()}
        owned = [name for entry in held.values() for name in entry.facilities]
        assert len(owned) == len(set(owned)), "one facility, one laboratory"
        assert not set(owned) & set(held), "and none is a laboratory of its own"
        again = Plan(held, rules, rows, "any")
        assert (again.errors, again.steps, again.new_rules) == ([], [], {})


@given(ROWS, ROWS)
def test_what_is_expected_new_or_known_is_told(first: list[LabRow], second: list[LabRow]) -> None:
    start = Plan({}, {}, [LabRow(registry_id=row.registry_id) for row in first], "any")
    held = applied({}, start)
    for expect in ("new", "known"):
        rows = [LabRow(registry_id=row.registry_id, line=n) for n, row in enumerate(second)]
        plan = Plan(held, {}, rows, expect)
        wrong = [row.line for row in rows if (row.registry_id in held) is (expect == "new")]
        assert [error.line for error in plan.errors] == wrong
