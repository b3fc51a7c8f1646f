-- Event ids are summed up anew, beside stream_event_by_event (0024): its summaries are for 1,000 events in 64
-- pages, and there are up to 1,200 of short ones. So two to five ranges in a thousand were read for nothing,
-- which at ten million messages are 4,000 pages a question that nobody has in memory. A summary for 1,490 is
-- as long as three to a page allow, half as long again, and leaves a twentieth of that (docs/adr/0056). It is
-- of the id's hash, so that it can be asked for by name: of two on one column the planner takes the shorter.
-- The first goes once no release runs that asks for it.
CREATE INDEX stream_event_by_hash ON stream_event
    USING brin (uuid_hash_extended(event_id, 0) int8_bloom_ops (n_distinct_per_range = 1490, false_positive_rate = 0.001))
    WITH (pages_per_range = 64, autosummarize = on);
