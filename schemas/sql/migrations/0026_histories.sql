-- After a restore a stream begins a new history: its numbers go on far behind all that readers can hold
-- of the lost one (ops/reconciling). Expand only: the release before numbers on from the heads.

-- skipped: numbers that no event bears, of all histories together. topic_seq and topic_event: the last
-- event of the topic before it; the relay goes on behind it with `begins`. told: all that the database
-- holds of the stream was told again.
CREATE TABLE stream_history (
    stream       text NOT NULL,
    partition    integer NOT NULL,
    begins       bigint NOT NULL,
    skipped      bigint NOT NULL CHECK (skipped >= 0),
    topic_seq    bigint,
    topic_event  uuid,
    begun_at     timestamptz NOT NULL,
    told         boolean NOT NULL DEFAULT false,
    PRIMARY KEY (stream, partition),
    CHECK ((topic_seq IS NULL) = (topic_event IS NULL))
);
