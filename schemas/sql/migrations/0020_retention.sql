-- Retention: what was purged, with its certificate; how far the emptying of old traits has come; from
-- which day on events of public health are sealed with keys of their own. Expand only: the release
-- before reads and writes all it knew.

-- Sealed by one key, dossier, contact tracing and public health would have to go on one day. A release
-- that runs beside this one during an upgrade cannot open the new kind: it begins two days later.
-- An instance that is made now begins at once.
ALTER TABLE instance ADD COLUMN sealed_apart_from date NOT NULL DEFAULT '2020-01-01';
UPDATE instance SET sealed_apart_from = (now() AT TIME ZONE 'UTC')::date + 2;

-- One row a purge, written before anything is destroyed: whoever finds it without an end does the rest.
-- cuts: class -> the first day that is kept. keys: names of the keys to be destroyed. certificate: what
-- was done, as it was hashed; digest: its SHA-256, which the audit entry `purged` bears as its reason.
CREATE TABLE purge (
    purge_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    began_at     timestamptz NOT NULL,
    actor        text NOT NULL CHECK (octet_length(actor) BETWEEN 1 AND 800),
    why          text NOT NULL CHECK (octet_length(why) BETWEEN 1 AND 800),
    cuts         jsonb NOT NULL,
    keys         text[] NOT NULL,
    ended_at     timestamptz,
    certificate  text,
    digest       bytea CHECK (octet_length(digest) = 32),
    audit_id     bigint,
    CHECK ((ended_at IS NULL) = (certificate IS NULL)),
    CHECK ((ended_at IS NULL) = (digest IS NULL)),
    CHECK ((ended_at IS NULL) = (audit_id IS NULL))
);
-- One at a time: none begins while another has no end.
CREATE UNIQUE INDEX purge_open ON purge ((true)) WHERE ended_at IS NULL;

-- Rows that went with partitions, written in the transaction that takes them off their table: the
-- account goes on counting them.
CREATE TABLE purge_part (
    purge_id    bigint NOT NULL REFERENCES purge (purge_id),
    part        text NOT NULL,
    family      text NOT NULL,
    rows        bigint NOT NULL CHECK (rows >= 0),
    taken_at    timestamptz NOT NULL,
    PRIMARY KEY (purge_id, part)
);

-- When all that was of age was last found gone.
CREATE TABLE purge_state (
    one       boolean PRIMARY KEY DEFAULT true CHECK (one),
    found_at  timestamptz NOT NULL
);
INSERT INTO purge_state (found_at) VALUES (now());

-- How far a table whose rows go one by one was walked.
CREATE TABLE purge_walk (
    walked     text PRIMARY KEY CHECK (walked IN ('person_alias', 'person_ins')),
    person_id  bigint NOT NULL DEFAULT 0,
    digest     uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    rounds     bigint NOT NULL DEFAULT 0
);
INSERT INTO purge_walk (walked) VALUES ('person_alias'), ('person_ins');

-- The day whose key sealed a payload (ops/runtime/vault.py: version, class, days since 2020-01-01).
CREATE FUNCTION sealed_on(payload bytea) RETURNS date LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN length(payload) > 16
           THEN date '2020-01-01' + (get_byte(payload, 2) * 256 + get_byte(payload, 3)) END
$$;

-- The audit chain is looked through by who, what and about whom; entries come in the order of time.
CREATE INDEX audit_by_actor ON audit (actor, audit_id);
CREATE INDEX audit_by_action ON audit (action, audit_id);
CREATE INDEX audit_by_subject ON audit (subject, audit_id);
CREATE INDEX audit_by_at ON audit USING brin (at);

-- The first event of a stream's partition that is kept. Those before it may lie there still, until all
-- of their partition of the table is of age; their key is gone.
CREATE TABLE stream_floor (
    stream     text NOT NULL,
    partition  integer NOT NULL,
    seq        bigint NOT NULL,
    PRIMARY KEY (stream, partition)
);

-- The first record of a table and partition that is of a moment or later; `high` if none is. Numbers
-- are in the order of commits and times nearly so: some twenty looks at the primary key.
CREATE FUNCTION first_since(of_table regclass, number name, moment name, of_partition integer,
                            low bigint, high bigint, since timestamptz)
RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    middle bigint;
    found timestamptz;
BEGIN
    WHILE low < high LOOP
        middle := (low + high) / 2;
        found := NULL;
        EXECUTE format('SELECT r.%I FROM %s r WHERE r.partition = $1 AND r.%I >= $2 '
                       'ORDER BY r.%I LIMIT 1', moment, of_table, number, number)
            INTO found USING of_partition, middle;
        IF found < since THEN
            low := middle + 1;
        ELSE
            high := middle;
        END IF;
    END LOOP;
    RETURN low;
END $$;
