-- Delays from sampling to reception, as they were published: of a condition's week once, when all of it
-- is old enough, for all areas at once, after disclosure control (ADR 0048). day: the Sunday's ordinal.
-- policy: of disclosure control, as of the extraction; under another one the week is told anew. shown: how
-- finely each area may tell it; no count stands there.
CREATE TABLE indicator_delay (
    condition   text NOT NULL,
    day         integer NOT NULL,
    extraction  bigint NOT NULL,
    policy      text NOT NULL,
    shown       bytea NOT NULL,
    figures     bytea NOT NULL,
    PRIMARY KEY (condition, day, extraction)
);

-- How areas differ from France in how their tests come, by the delays that were told; NULL: nothing is
-- known, or another release wrote it.
ALTER TABLE indicator_completeness ADD COLUMN areas bytea;
