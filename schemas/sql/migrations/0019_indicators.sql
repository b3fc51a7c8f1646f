-- Indicators: what was taken of the public-health stream, what follows from it, and what was published
-- of that. No name stands here: rows bear pseudonyms, published tables have gone through disclosure
-- control (ADR 0044).

-- One row. batch is the fence: every transaction that counts raises it; who finds another number than
-- it left has been overtaken. layout: of rows and cells; another release's is counted anew.
CREATE TABLE indicator_progress (
    only_one    boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    batch       bigint NOT NULL DEFAULT 0,
    events      bigint NOT NULL DEFAULT 0,
    layout      integer NOT NULL DEFAULT 0,
    moved_at    timestamptz,                 -- when events were last counted
    wanted_at   timestamptz,                 -- somebody asked for an extraction; it clears this
    rebuilt_at  timestamptz,                 -- counting last began at zero
    extracted_at timestamptz,                -- the last extraction, by the clock; its own time never goes back
    is_catching_up boolean NOT NULL DEFAULT true, -- counting began at zero, and nothing was published since
    closed_before integer NOT NULL DEFAULT 0, -- ordinal: cells of earlier days change no more, their rows go
    made_by     uuid                         -- the process that is making an extraction, or made the last
);
INSERT INTO indicator_progress DEFAULT VALUES;

-- Up to where each partition of the stream is counted: written with all that follows, or not at all.
CREATE TABLE indicator_position (
    partition  integer PRIMARY KEY,
    seq        bigint NOT NULL
);

-- What stands of a part of a report: its latest row, packed. person: 64 bits of the pseudonym, by which
-- the rows of one person and half-year are found; next_person: the same person's in the half-year
-- after, where a window of days reaches into it; NULL where it counts nowhere: withdrawn, a second line.
-- day: it counts on; of what counts nowhere, of its reception, or that it was written on. Rows go by it.
CREATE TABLE indicator_row (
    report_id    uuid NOT NULL,
    part         text NOT NULL,
    person       bigint,
    next_person  bigint,
    day          integer NOT NULL,
    packed       bytea NOT NULL,
    PRIMARY KEY (report_id, part)
) WITH (fillfactor = 90);
CREATE INDEX indicator_row_by_person ON indicator_row (person) WHERE person IS NOT NULL;
CREATE INDEX indicator_row_by_next ON indicator_row (next_person) WHERE next_person IS NOT NULL;
CREATE INDEX indicator_row_by_day ON indicator_row USING brin (day);

-- Two pseudonyms of a half-year that stand for one person (PseudonymReplaced); NULL once withdrawn.
CREATE TABLE indicator_alias (
    report_id      uuid NOT NULL,
    part           text NOT NULL,
    event_version  integer NOT NULL,
    period         text,
    old            bytea,
    new            bytea,
    PRIMARY KEY (report_id, part)
);

-- What is counted: of a condition, a time and a department all cells by age and sex and the delays,
-- packed, so that a batch writes few rows however many cells it touches. day: ordinal of the day, or of
-- the first of a month where no more is told (conditions that are declared anonymously). Weeks have no
-- cells: they are the seven days that end on a Sunday.
CREATE TABLE indicator_cell (
    condition   text NOT NULL,
    period      text NOT NULL CHECK (period IN ('day', 'month')),
    day         integer NOT NULL,
    department  text NOT NULL,
    packed      bytea NOT NULL,
    PRIMARY KEY (condition, period, day, department)
) WITH (fillfactor = 70);

-- Times whose cells changed since they were last published, and in which batch they last did.
CREATE TABLE indicator_due (
    condition  text NOT NULL,
    period     text NOT NULL,
    day        integer NOT NULL,
    batch      bigint NOT NULL,
    PRIMARY KEY (condition, period, day)
);

-- A moment whose state was published whole. Its tables are written before it: what has no row here
-- does not exist.
CREATE TABLE indicator_extraction (
    number    bigint PRIMARY KEY CHECK (number > 0),
    at        timestamptz NOT NULL,
    batch     bigint NOT NULL,
    events    bigint NOT NULL,
    lag       bigint NOT NULL,               -- events in the stream that were not counted yet
    policy    text NOT NULL,                 -- of disclosure control, by name and version
    tables    integer NOT NULL
);
CREATE INDEX indicator_extraction_by_at ON indicator_extraction (at);

-- What may be shown of a condition's ISO week (or month), as an extraction decided it; what follows is
-- decided so that nothing already shown gives it away. No count stands here. source: digest of what it
-- was decided from.
CREATE TABLE indicator_shown (
    condition   text NOT NULL,
    block       text NOT NULL,
    extraction  bigint NOT NULL,
    source      bytea NOT NULL,
    packed      bytea NOT NULL,
    PRIMARY KEY (condition, block, extraction)
);

-- What an extraction published of a time that had changed, for one level of areas, after disclosure
-- control; what did not change has the table of an earlier extraction. day: the last of the time.
CREATE TABLE indicator_table (
    condition   text NOT NULL,
    period      text NOT NULL CHECK (period IN ('day', '7days', 'week', 'month')),
    day         integer NOT NULL,
    level       text NOT NULL CHECK (level IN ('france', 'region', 'department')),
    extraction  bigint NOT NULL,
    figures     bytea NOT NULL,
    PRIMARY KEY (condition, period, level, day, extraction)
);
CREATE INDEX indicator_table_by_extraction ON indicator_table (extraction);

-- How much of the last days had come, as an extraction saw it.
CREATE TABLE indicator_completeness (
    extraction  bigint NOT NULL,
    condition   text NOT NULL,
    packed      bytea NOT NULL,
    PRIMARY KEY (extraction, condition)
);
