-- The whole hub, first form. Names are contracts (docs/architecture.md, section Tables).
-- Payload columns hold ciphertext (ops/runtime/vault.py); keys of persons, orders and blocking are
-- keyed digests. No clear personal datum stands in any column.

CREATE TABLE instance (
    one            boolean PRIMARY KEY DEFAULT true CHECK (one),
    instance_id    uuid NOT NULL,
    realm          text NOT NULL CHECK (realm IN ('test', 'production')),
    engine         text NOT NULL CHECK (engine IN ('embedded', 'cluster')),
    partitions     integer NOT NULL CHECK (partitions BETWEEN 1 AND 1024),
    created_at     timestamptz NOT NULL DEFAULT now()
);

-- ---------------------------------------------------------------- laboratories

CREATE TABLE lab (
    lab_id           integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    registry_id      text NOT NULL UNIQUE CHECK (octet_length(registry_id) BETWEEN 1 AND 200),
    name             text NOT NULL DEFAULT '' CHECK (octet_length(name) <= 200),
    state            text NOT NULL DEFAULT 'onboarding'
                     CHECK (state IN ('onboarding', 'live', 'suspended')),
    profile          text NOT NULL DEFAULT 'fr',
    profile_version  integer NOT NULL DEFAULT 1,
    wants_no_answer  boolean NOT NULL DEFAULT false,
    registered_at    timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE lab_finding (
    partition   integer NOT NULL,
    "offset"    bigint NOT NULL,
    position    smallint NOT NULL,
    lab_id      integer NOT NULL,
    code        text NOT NULL,
    level       text NOT NULL,
    place       text NOT NULL,
    found_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (partition, "offset", position)
);
CREATE INDEX lab_finding_by_lab ON lab_finding (lab_id, found_at);

-- What was answered and not logged (AR, unreadable): counts only, flushed by the doors.
CREATE TABLE door_count (
    day      date NOT NULL,
    answer   text NOT NULL CHECK (answer IN ('AR', 'unreadable')),
    reason   text NOT NULL,
    n        bigint NOT NULL,
    PRIMARY KEY (day, answer, reason)
);

-- ---------------------------------------------------------------- intake log

CREATE TABLE intake_head (
    partition    integer PRIMARY KEY,
    next_offset  bigint NOT NULL DEFAULT 0
);

CREATE TABLE intake (
    partition    integer NOT NULL,
    "offset"     bigint NOT NULL,
    message_id   uuid NOT NULL,
    lab_id       integer NOT NULL,
    kind         smallint NOT NULL,
    received_at  timestamptz NOT NULL,
    inbox_key    uuid NOT NULL,
    control_key  bigint NOT NULL,
    payload      bytea STORAGE EXTERNAL NOT NULL,
    PRIMARY KEY (partition, "offset")
) PARTITION BY RANGE ("offset");

-- Appends a batch: locks the head rows in one order, numbers, inserts, answers the offsets in the
-- order of the arrays. Never a sequence: a reader would skip what commits late.
CREATE FUNCTION intake_append(
    partitions integer[], message_ids uuid[], lab_ids integer[], kinds smallint[],
    received timestamptz[], inbox_keys uuid[], control_keys bigint[], payloads bytea[]
) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    answered bigint[];
BEGIN
    PERFORM 1 FROM intake_head h WHERE h.partition = ANY (partitions)
        ORDER BY h.partition FOR UPDATE;
    WITH given AS (
        SELECT g.*, row_number() OVER (PARTITION BY g.p ORDER BY g.place) - 1 AS step
        FROM unnest(partitions, message_ids, lab_ids, kinds, received, inbox_keys, control_keys,
                    payloads)
             WITH ORDINALITY AS g(p, m, l, k, r, i, c, b, place)
    ), numbered AS (
        SELECT given.*, h.next_offset + given.step AS o
        FROM given JOIN intake_head h ON h.partition = given.p
    ), stored AS (
        INSERT INTO intake (partition, "offset", message_id, lab_id, kind, received_at, inbox_key,
                            control_key, payload)
        SELECT p, o, m, l, k, r, i, c, b FROM numbered
    ), moved AS (
        UPDATE intake_head h SET next_offset = last.o + 1
        FROM (SELECT p, max(o) AS o FROM numbered GROUP BY p) last
        WHERE h.partition = last.p
    )
    SELECT array_agg(o ORDER BY place) INTO answered FROM numbered;
    IF coalesce(array_length(answered, 1), 0) <> coalesce(array_length(partitions, 1), 0) THEN
        RAISE EXCEPTION 'intake_append: unknown partition' USING ERRCODE = 'LD001';
    END IF;
    RETURN answered;
END $$;

-- Cluster: the raw message, written once by the worker, because the topic's retention is short.
CREATE TABLE message (
    partition    integer NOT NULL,
    "offset"     bigint NOT NULL,
    message_id   uuid NOT NULL,
    lab_id       integer NOT NULL,
    kind         smallint NOT NULL,
    received_at  timestamptz NOT NULL,
    inbox_key    uuid NOT NULL,
    control_key  bigint NOT NULL,
    payload      bytea STORAGE EXTERNAL NOT NULL,
    PRIMARY KEY (partition, "offset")
) PARTITION BY RANGE ("offset");

-- ---------------------------------------------------------------- dispatch

CREATE TABLE intake_progress (
    partition    integer PRIMARY KEY,
    next_offset  bigint NOT NULL DEFAULT 0,
    updated_at   timestamptz NOT NULL DEFAULT now()
);

-- Membership spreads the work; correctness never rests on it.
CREATE TABLE dispatch_member (
    worker_id  uuid PRIMARY KEY,
    seen_at    timestamptz NOT NULL
);

CREATE TABLE outcome (
    partition    integer NOT NULL,
    "offset"     bigint NOT NULL,
    message_id   uuid NOT NULL,
    lab_id       integer NOT NULL,
    control_key  bigint NOT NULL,
    ending       text NOT NULL
                 CHECK (ending IN ('dispatched', 'duplicate', 'refused', 'parked', 'replay')),
    reason       text NOT NULL DEFAULT '',
    place        text NOT NULL DEFAULT '',
    original     uuid,
    report_ids   uuid[] NOT NULL DEFAULT '{}',
    person_id    bigint,
    received_at  timestamptz NOT NULL,
    decided_at   timestamptz NOT NULL,
    replayed_by  bigint,
    PRIMARY KEY (partition, "offset")
);
CREATE INDEX outcome_by_message ON outcome (message_id);
CREATE INDEX outcome_by_control ON outcome (control_key);

CREATE TABLE inbox (
    seen_on     date NOT NULL,
    inbox_key   uuid NOT NULL,
    message_id  uuid NOT NULL,
    PRIMARY KEY (inbox_key, seen_on)
) PARTITION BY RANGE (seen_on);

CREATE TABLE parked (
    partition    integer NOT NULL,
    "offset"     bigint NOT NULL,
    message_id   uuid NOT NULL,
    lab_id       integer NOT NULL,
    reason       text NOT NULL,
    code         text NOT NULL DEFAULT '',
    place        text NOT NULL DEFAULT '',
    owner        text,
    parked_at    timestamptz NOT NULL,
    resolved_at  timestamptz,
    PRIMARY KEY (partition, "offset")
);

-- ---------------------------------------------------------------- persons

CREATE SEQUENCE person_number;

CREATE TABLE person (
    person_id    bigint PRIMARY KEY,
    merged_into  bigint REFERENCES person (person_id),
    version      bigint NOT NULL DEFAULT 0,
    isolated     boolean NOT NULL DEFAULT false,
    created_at   timestamptz NOT NULL
);

CREATE TABLE person_ins (
    person_id      bigint NOT NULL REFERENCES person (person_id),
    ins_digest     uuid NOT NULL,
    oid            text NOT NULL,
    payload        bytea NOT NULL,
    first_seen_on  date NOT NULL,
    last_seen_on   date NOT NULL,
    PRIMARY KEY (person_id, ins_digest)
);

CREATE TABLE person_alias (
    person_id      bigint NOT NULL REFERENCES person (person_id),
    alias_digest   uuid NOT NULL,
    payload        bytea NOT NULL,
    first_seen_on  date NOT NULL,
    last_seen_on   date NOT NULL,
    PRIMARY KEY (person_id, alias_digest)
);

CREATE TABLE person_key (
    key        bigint NOT NULL,
    person_id  bigint NOT NULL REFERENCES person (person_id),
    PRIMARY KEY (key, person_id)
);
CREATE INDEX person_key_by_person ON person_key (person_id);

CREATE TABLE link_event (
    link_event_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at               timestamptz NOT NULL,
    kind             text NOT NULL
                     CHECK (kind IN ('new', 'link', 'isolate', 'review', 'merge', 'unmerge')),
    person_id        bigint NOT NULL,
    other_person_id  bigint,
    partition        integer,
    "offset"         bigint,
    alias_digest     uuid,
    rule             text NOT NULL,
    model_version    text NOT NULL,
    evidence         jsonb NOT NULL DEFAULT '{}',
    actor            text NOT NULL DEFAULT 'hub'
);
CREATE INDEX link_event_by_person ON link_event (person_id);

CREATE TABLE review_item (
    review_item_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    opened_at       timestamptz NOT NULL,
    person_id       bigint NOT NULL,
    other_person_id bigint NOT NULL,
    guard           text NOT NULL,
    evidence        jsonb NOT NULL DEFAULT '{}',
    closed_at       timestamptz,
    UNIQUE (person_id, other_person_id, guard)
);

CREATE TABLE pair_verdict (
    person_id        bigint NOT NULL,
    other_person_id  bigint NOT NULL,
    verdict          text NOT NULL CHECK (verdict IN ('same', 'different', 'later')),
    actor            text NOT NULL,
    at               timestamptz NOT NULL,
    PRIMARY KEY (person_id, other_person_id),
    CHECK (person_id < other_person_id)
);

-- ---------------------------------------------------------------- reports

CREATE TABLE report (
    report_id     uuid PRIMARY KEY,
    report_key    uuid NOT NULL,
    lab_id        integer NOT NULL,
    person_id     bigint NOT NULL,
    version       integer NOT NULL,
    status        text NOT NULL,
    status_rank   smallint NOT NULL,
    content_digest uuid NOT NULL,
    sampled_on    date,
    partition     integer NOT NULL,
    "offset"      bigint NOT NULL,
    position      smallint NOT NULL,
    first_at      timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL
) WITH (fillfactor = 85);
CREATE INDEX report_by_key ON report (report_key);
CREATE INDEX report_by_person ON report (person_id);

CREATE TABLE report_version (
    report_id      uuid NOT NULL,
    version        integer NOT NULL,
    partition      integer NOT NULL,
    "offset"       bigint NOT NULL,
    position       smallint NOT NULL,
    person_id      bigint NOT NULL,
    status         text NOT NULL,
    content_digest uuid NOT NULL,
    became_current boolean NOT NULL,
    decided_at     timestamptz NOT NULL,
    PRIMARY KEY (report_id, version)
);

-- ---------------------------------------------------------------- streams

CREATE TABLE emitted (
    report_id      uuid NOT NULL,
    stream         text NOT NULL,
    event_version  integer NOT NULL,
    published      boolean NOT NULL,
    addressee      text NOT NULL,
    body_digest    uuid NOT NULL,
    PRIMARY KEY (report_id, stream)
) WITH (fillfactor = 85);

CREATE TABLE hold (
    report_id  uuid NOT NULL,
    stream     text NOT NULL,
    reason     text NOT NULL,
    since      timestamptz NOT NULL,
    PRIMARY KEY (report_id, stream)
);

CREATE TABLE stream_head (
    stream     text NOT NULL,
    partition  integer NOT NULL,
    last_seq   bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (stream, partition)
);

CREATE TABLE stream_event (
    stream          text NOT NULL,
    partition       integer NOT NULL,
    seq             bigint NOT NULL,
    event_id        uuid NOT NULL,
    report_id       uuid NOT NULL,
    event_version   integer NOT NULL,
    kind            text NOT NULL CHECK (kind IN ('published', 'revised', 'withdrawn')),
    reason          text NOT NULL,
    realm           text NOT NULL,
    rule            text NOT NULL,
    rule_version    text NOT NULL,
    person_version  bigint NOT NULL,
    message_id      uuid NOT NULL,
    emitted_at      timestamptz NOT NULL,
    payload         bytea STORAGE EXTERNAL,
    PRIMARY KEY (stream, partition, seq)
) PARTITION BY LIST (stream);
CREATE INDEX stream_event_by_report ON stream_event (report_id);

CREATE TABLE stream_event_dossier PARTITION OF stream_event
    FOR VALUES IN ('dossier') PARTITION BY RANGE (seq);
CREATE TABLE stream_event_contact_tracing PARTITION OF stream_event
    FOR VALUES IN ('contact-tracing') PARTITION BY RANGE (seq);
CREATE TABLE stream_event_public_health PARTITION OF stream_event
    FOR VALUES IN ('public-health') PARTITION BY RANGE (seq);

-- ---------------------------------------------------------------- audit

CREATE TABLE audit (
    audit_id  bigint PRIMARY KEY,
    at        timestamptz NOT NULL,
    actor     text NOT NULL,
    action    text NOT NULL,
    subject   text NOT NULL,
    reason    text NOT NULL,
    previous  bytea NOT NULL,
    digest    bytea NOT NULL
);

-- Appends one entry to the hash chain; the lock makes the chain one line, not a tree.
CREATE FUNCTION audit_append(who text, what text, on_what text, why text) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    before audit%ROWTYPE;
    entry bigint;
    moment timestamptz := clock_timestamp();
    chain bytea;
BEGIN
    LOCK TABLE audit IN SHARE ROW EXCLUSIVE MODE;
    SELECT * INTO before FROM audit ORDER BY audit_id DESC LIMIT 1;
    entry := coalesce(before.audit_id, 0) + 1;
    chain := coalesce(before.digest, '\x00'::bytea);
    INSERT INTO audit (audit_id, at, actor, action, subject, reason, previous, digest)
    VALUES (entry, moment, who, what, on_what, why, chain,
            sha256(chain || convert_to(concat_ws(E'\x1f', entry,
                to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'),
                who, what, on_what, why), 'UTF8')));
    RETURN entry;
END $$;

-- ---------------------------------------------------------------- partitions ahead of need

-- Makes the range partitions that the next weeks and the next millions need. Called at migrate, at
-- every start and every minute by each dispatch worker; safe beside itself. Answers how many it made.
CREATE FUNCTION ensure_partitions() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    made integer := 0;
    span CONSTANT bigint := 1048576;
    ahead CONSTANT bigint := 3;
    family record;
    head bigint;
    low bigint;
    child text;
    week date;
BEGIN
    PERFORM pg_advisory_xact_lock(20261, 1);
    FOR family IN
        SELECT 'intake' AS parent, (SELECT max(next_offset) FROM intake_head) AS at
        UNION ALL
        SELECT 'message', (SELECT max(next_offset) FROM intake_progress)
        UNION ALL
        SELECT 'stream_event_' || replace(s, '-', '_'),
               (SELECT max(last_seq) FROM stream_head h WHERE h.stream = s)
        FROM unnest(ARRAY['dossier', 'contact-tracing', 'public-health']) AS s
    LOOP
        head := coalesce(family.at, 0) / span;
        FOR low IN SELECT n FROM generate_series(head, head + ahead) AS n LOOP
            child := format('%s_r%s', family.parent, low);
            IF to_regclass(child) IS NULL THEN
                -- Most payloads fit into their row's page: out of line they cost a second table,
                -- its index and their WAL.
                EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%s) TO (%s) '
                               'WITH (toast_tuple_target = 8160)',
                               child, family.parent, low * span, (low + 1) * span);
                made := made + 1;
            END IF;
        END LOOP;
    END LOOP;
    FOR week IN
        SELECT date_trunc('week', current_date)::date + 7 * n FROM generate_series(-1, 3) AS n
    LOOP
        child := format('inbox_w%s', to_char(week, 'YYYYMMDD'));
        IF to_regclass(child) IS NULL THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF inbox FOR VALUES FROM (%L) TO (%L)',
                           child, week, week + 7);
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END $$;

-- Fixes the number of partitions of a new instance and makes its rows. Does nothing a second time.
CREATE FUNCTION instance_init(id uuid, in_realm text, on_engine text, count integer)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO instance (instance_id, realm, engine, partitions)
    VALUES (id, in_realm, on_engine, count) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    INSERT INTO intake_head (partition) SELECT generate_series(0, count - 1);
    INSERT INTO intake_progress (partition) SELECT generate_series(0, count - 1);
    INSERT INTO stream_head (stream, partition)
    SELECT s, p FROM unnest(ARRAY['dossier', 'contact-tracing', 'public-health']) AS s,
                     generate_series(0, count - 1) AS p;
    PERFORM ensure_partitions();
END $$;
