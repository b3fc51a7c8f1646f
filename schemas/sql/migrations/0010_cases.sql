-- Cases: what each report says of a tracked condition, and where it stands among the others of its
-- person. One row a report and condition; only reports of tracked analyses have one. Numbers are
-- keyed digests. Rows of reports of before are made when a version or a replay comes.
CREATE TABLE case_report (
    person_id     bigint NOT NULL,
    condition     text NOT NULL,
    report_id     uuid NOT NULL,
    mark          smallint NOT NULL,   -- what it says itself: 0 nothing, 1 first line, 2 second
    precedence    smallint NOT NULL,   -- 0 positive ... 4 no answer; -1 says nothing any more
    line          smallint NOT NULL,   -- where it stands: 1 counts, 2 second line
    waits         boolean NOT NULL,    -- a second line without its first
    sampled_on    date,
    sampled_at    timestamptz,
    specimen_key  bigint,
    filler_key    bigint,
    placer_key    bigint,
    tie           bigint NOT NULL,
    first_at      timestamptz NOT NULL,
    case_id       uuid NOT NULL,
    PRIMARY KEY (person_id, condition, report_id)
) WITH (fillfactor = 85);
-- Small: second lines whose first has not come, the longest waiting first.
CREATE INDEX case_report_waiting ON case_report (first_at) WHERE waits;
