-- Figures of each laboratory by the hour (UTC): what the doors took and what became of it. They are
-- added up in memory and written every half minute, so a kill takes that much: the account
-- (outcome) is the truth, these are for whoever looks at 4,500 laboratories at once.
CREATE TABLE lab_hour (
    lab_id       integer NOT NULL REFERENCES lab (lab_id),
    hour         timestamptz NOT NULL,   -- of reception; it begins then
    received     bigint NOT NULL DEFAULT 0 CHECK (received >= 0),     -- durable in the log
    turned_away  bigint NOT NULL DEFAULT 0 CHECK (turned_away >= 0),  -- AR: not kept
    dispatched   bigint NOT NULL DEFAULT 0 CHECK (dispatched >= 0),
    duplicate    bigint NOT NULL DEFAULT 0 CHECK (duplicate >= 0),
    refused      bigint NOT NULL DEFAULT 0 CHECK (refused >= 0),      -- AE: kept
    parked       bigint NOT NULL DEFAULT 0 CHECK (parked >= 0),
    flagged      bigint NOT NULL DEFAULT 0 CHECK (flagged >= 0),      -- with a warning or an error
    last_at      timestamptz,            -- the last that was received in this hour
    PRIMARY KEY (lab_id, hour)
) WITH (fillfactor = 70);
CREATE INDEX lab_hour_by_hour ON lab_hour (hour);
