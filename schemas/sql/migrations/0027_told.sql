-- The counts of a day (or month) as they were told last: between two revisions its figures are made of
-- these, whatever came since (ADR 0060). packed: the cells of all departments. revised: how many ages of
-- revision had passed; revise_on: ordinal of the day of the next one, NULL: there is none.
CREATE TABLE indicator_told (
    condition   text NOT NULL,
    period      text NOT NULL,
    day         integer NOT NULL,
    extraction  bigint NOT NULL,
    revised     integer NOT NULL,
    revise_on   integer,
    packed      bytea NOT NULL,
    PRIMARY KEY (condition, period, day, extraction)
);
CREATE INDEX indicator_told_revise_on ON indicator_told (revise_on) WHERE revise_on IS NOT NULL;
