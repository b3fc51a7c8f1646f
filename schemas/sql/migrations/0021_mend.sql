-- What is mended by hand: parked messages, ranges done again, what is paused; and the account by day
-- and laboratory. Only additions: the release before works on beside them.

-- ---------------------------------------------------------------- changed endings

-- First, for a batch of dispatch takes outcome before parked: the other way round the two would wait
-- for each other in a rolling upgrade.
-- An ending that changed after it was written (a replay, a discard): whoever counts takes it along.
CREATE TABLE account_change (
    change_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    partition      integer NOT NULL,
    "offset"       bigint NOT NULL,
    lab_id         integer NOT NULL,
    received_at    timestamptz NOT NULL,
    before_ending  text NOT NULL,
    before_reason  text NOT NULL,
    after_ending   text NOT NULL,
    after_reason   text NOT NULL
);
CREATE FUNCTION account_note_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO account_change (partition, "offset", lab_id, received_at, before_ending,
                                before_reason, after_ending, after_reason)
    VALUES (OLD.partition, OLD."offset", OLD.lab_id, OLD.received_at, OLD.ending, OLD.reason,
            NEW.ending, NEW.reason);
    RETURN NULL;
END $$;
CREATE TRIGGER outcome_changes AFTER UPDATE OF ending, reason ON outcome FOR EACH ROW
    WHEN ((OLD.ending, OLD.reason) IS DISTINCT FROM (NEW.ending, NEW.reason))
    EXECUTE FUNCTION account_note_change();

-- ---------------------------------------------------------------- parked

-- resolution: how the row ended. A discarded one keeps the ending parked, for the reason discarded.
ALTER TABLE parked ADD COLUMN resolution text CHECK (resolution IN ('replayed', 'discarded'));
CREATE INDEX parked_waiting ON parked (parked_at, partition, "offset") WHERE resolved_at IS NULL;
-- A laboratory's line of them, in the order in which they came.
CREATE INDEX parked_in_line ON parked (lab_id, "offset") WHERE resolved_at IS NULL;

-- The bytes that stand for those of a parked message, once somebody has mended them: sealed as the
-- message's own payload is, under the same id. The message's own stay where they are.
CREATE TABLE mended (
    partition  integer NOT NULL,
    "offset"   bigint NOT NULL,
    number     integer NOT NULL,             -- how often it was mended
    mended_at  timestamptz NOT NULL,
    payload    bytea STORAGE EXTERNAL NOT NULL,
    PRIMARY KEY (partition, "offset")
);

-- ---------------------------------------------------------------- done again

-- A range of messages that is done again; one at a time. looked: records that were held against
-- today's mapping and rules; differ: of which a stream would change; replayed: put into the log.
CREATE TABLE replay_run (
    run_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    from_at      timestamptz NOT NULL,
    until_at     timestamptz NOT NULL,
    lab_id       integer,
    stream       text NOT NULL DEFAULT '',
    actor        text NOT NULL,
    reason       text NOT NULL,
    asked_at     timestamptz NOT NULL,
    state        text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done', 'stopped')),
    looked       bigint NOT NULL DEFAULT 0,
    differ       bigint NOT NULL DEFAULT 0,
    replayed     bigint NOT NULL DEFAULT 0,
    ended_at     timestamptz
);
CREATE UNIQUE INDEX replay_run_alone ON replay_run ((true)) WHERE state = 'running';
CREATE TABLE replay_run_place (
    run_id       bigint NOT NULL REFERENCES replay_run (run_id),
    partition    integer NOT NULL,
    next_offset  bigint NOT NULL,
    end_offset   bigint NOT NULL,            -- where the partition stood when it was asked for
    PRIMARY KEY (run_id, partition)
);

-- ---------------------------------------------------------------- paused

-- What was told to wait. A receiver's pause stands in its own row.
CREATE TABLE pause (
    what       text NOT NULL CHECK (what IN ('stream', 'laboratory')),
    name       text NOT NULL,
    lab_id     integer,
    paused_at  timestamptz NOT NULL,
    actor      text NOT NULL,
    reason     text NOT NULL,
    PRIMARY KEY (what, name)
);
ALTER TABLE receiver ADD COLUMN paused_at timestamptz;

-- ---------------------------------------------------------------- the account by day

-- Up to where a partition is counted. target: an end of the log that was seen at target_at; once it
-- is counted, all that was accepted before is (caught_up_at).
CREATE TABLE account_progress (
    partition     integer PRIMARY KEY,
    counted       bigint NOT NULL,
    target        bigint NOT NULL,
    target_at     timestamptz NOT NULL,
    caught_up_at  timestamptz
);

-- Records by day of reception (Europe/Paris) and laboratory. name: received, replay_asked, or an ending.
CREATE TABLE account_day (
    day      date NOT NULL,
    lab_id   integer NOT NULL,
    name     text NOT NULL,
    reason   text NOT NULL DEFAULT '',
    records  bigint NOT NULL,
    PRIMARY KEY (day, lab_id, name, reason)
) WITH (fillfactor = 70);

-- Records that are not counted yet. Laboratory 0 and no day of their own where nobody told them apart.
CREATE TABLE account_in_flight (
    day      date NOT NULL,
    lab_id   integer NOT NULL,
    records  bigint NOT NULL,
    PRIMARY KEY (day, lab_id)
);

-- Records and endings that were counted over the same places and are not as many.
CREATE TABLE account_gap (
    day       date NOT NULL,
    lab_id    integer NOT NULL,
    records   bigint NOT NULL,               -- above 0: records without an ending
    seen_at   timestamptz NOT NULL,
    noted_by  text,                          -- who has found out why; it alerts no more
    PRIMARY KEY (day, lab_id)
);

-- Refused and parked records, for the laboratory's own report.
CREATE TABLE account_item (
    day        date NOT NULL,
    lab_id     integer NOT NULL,
    partition  integer NOT NULL,
    "offset"   bigint NOT NULL,
    PRIMARY KEY (day, lab_id, partition, "offset")
);

-- Days of which everything has an ending. What changes later (a replay) changes rows of account_day.
CREATE TABLE account_closed (
    day        date PRIMARY KEY,
    closed_at  timestamptz NOT NULL,
    received   bigint NOT NULL,
    gap        bigint NOT NULL
);

-- Reports of a closed day that are still to be written, or written again.
CREATE TABLE account_due (
    day     date NOT NULL,
    lab_id  integer NOT NULL,
    PRIMARY KEY (day, lab_id)
);
