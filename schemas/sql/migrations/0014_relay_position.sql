-- What the relay last published, by partition: needed only where retention has emptied a topic, for
-- then the topic itself no longer says it. A topic that holds an event is always believed first.
CREATE TABLE relay_position (
    stream     text NOT NULL,
    partition  integer NOT NULL,
    seq        bigint NOT NULL,            -- of the last event published
    log_offset bigint NOT NULL,            -- where in the topic it was
    noted_at   timestamptz NOT NULL,
    PRIMARY KEY (stream, partition)
) WITH (fillfactor = 50);
