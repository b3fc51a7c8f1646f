"""Strategies for reports and traits of every odd kind that a door may let in."""

from __future__ import annotations

from hypothesis import strategies as st

from schemas.patient import Address, Identifier, Traits
from schemas.report import (
    Coded,
    Document,
    LabReport,
    Observation,
    Organisation,
    Practitioner,
    ResultStatus,
    Specimen,
)

# As the door bounds texts: no NUL, no surrogates; control characters and blanks there are.
texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
words = texts | st.sampled_from(["", " ", "\x07", "POS", "Détecté", "a\nb", "<script>", '"', "1"])
systems = st.sampled_from(
    (
        "",
        "LN",
        "SCT",
        "L",
        "UCUM",
        "HL70487",
        "HL70136",
        "HL79999",
        "LABX",
        "MetaDMPMSS",
        "1.2.250.1.999.2",
        "1.2.03.4",
    )
)
codes = words | st.sampled_from(
    ["94500-6", "260373001", "BLD", "Y", "N", "INVISIBLE_PATIENT", "mmol/L", "UI/L", "{Ct}", "%"]
)
coded = st.builds(Coded, codes, words, systems, codes, words, systems)
times = words | st.sampled_from(
    (
        "2026-03-06T07:45:00+01:00",
        "2026-03-06T07:45+01:00",
        "2026-03-06",
        "2026-03",
        "2026",
        "",
        "2026-02-31",
        "2026-02-31T00:00:00Z",
        "2026-13-01",
        "0000",
        "2026-03-06T25:00:00Z",
    )
)
numbers = words | st.sampled_from(["24.60", "-0.5", "1e5", "NaN", "9" * 40, "007", "+3"])
values = numbers | st.sampled_from(
    ["1:128", "100-200", "2+", "20260306", "202603061015+0100", "1015", "1015+0100", "20261306"]
)
ranges = words | st.sampled_from(["2.5-7.5", "< 40", "≥ 3", "7-2", "3,5 - 5,0", "négatif"])
organisations = st.builds(
    Organisation, words, words | st.sampled_from(["990000017", "1.2.250.1.999"]), words
)
practitioners = st.builds(
    Practitioner,
    words | st.just("10000023084"),
    st.sampled_from(["RPPS", "", "ADELI"]),
    words,
    words,
)
statuses = st.sampled_from(ResultStatus)
documents = st.builds(
    Document,
    words,
    st.sampled_from(["PDF", "XML", "pdf", "?", ""]),
    words,
    st.just(9),
    st.just("0a" * 16),
)
observations = st.builds(
    Observation,
    position=st.just(1),
    code=coded,
    sub_id=st.sampled_from(["", "1", "1.1", "2", "1.1.1"]),
    value_type=st.sampled_from(
        ["NM", "SN", "ST", "TX", "FT", "CWE", "CE", "CNE", "DT", "TM", "TS", "DTM", "ED", "RP", ""]
    ),
    value=values,
    number=numbers,
    comparator=st.sampled_from(["", "<", ">=", "=", "~"]),
    coded=st.none() | coded,
    unit=st.none() | coded,
    reference_range=ranges,
    interpretations=st.lists(words | st.sampled_from(["N", "h", "SYN-R"]), max_size=3).map(tuple),
    status=statuses,
    observed_at=times,
    method=st.none() | coded,
    notes=st.lists(words, max_size=2).map(tuple),
    performer=st.none() | organisations,
    document=st.none() | documents,
    others=st.just(()) | st.tuples(coded),
    amended=st.booleans(),
)
reports = st.builds(
    LabReport,
    position=st.just(1),
    code=coded,
    status=statuses,
    placer_order_number=words,
    filler_order_number=words,
    collected_at=times,
    received_at=times,
    reported_at=times,
    specimen=st.none() | st.builds(Specimen, words, coded, times, times),
    observations=st.lists(observations, max_size=4).map(tuple),
    notes=st.lists(words, max_size=2).map(tuple),
    prescriber=st.none() | practitioners,
    performer=st.none() | organisations,
)
traits = st.builds(
    Traits,
    identifiers=st.lists(
        st.builds(Identifier, words, words, systems, st.sampled_from(["PI", "NH", "INS", ""])),
        max_size=3,
    ).map(tuple),
    birth_family=words,
    birth_given=words,
    birth_givens=st.lists(words, max_size=2).map(tuple),
    used_family=words,
    used_given=words,
    birth_date=times,
    sex=st.sampled_from(["M", "F", "U", "O", ""]),
    birth_place=st.sampled_from(["", "63220", "2A004", "99327", " "]),
    address=st.none() | st.builds(Address, st.tuples(words), words, words, words, words, words),
    phones=st.tuples(words),
    emails=st.tuples(words),
)
