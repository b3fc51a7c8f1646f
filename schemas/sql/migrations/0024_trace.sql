-- An event is found by its id, which a reader has in hand. Event ids are digests: a tree of them costs
-- every event a page somewhere in it, and its image in the log of changes. A summary of 64 pages each
-- costs a new event nothing (docs/adr/0056-trace-by-index.md has the measurement); what is not summed up
-- yet is read through, which is the last half megabyte of each part of a table.
CREATE INDEX stream_event_by_event ON stream_event
    USING brin (event_id uuid_bloom_ops (n_distinct_per_range = 1000, false_positive_rate = 0.001))
    WITH (pages_per_range = 64, autosummarize = on);
