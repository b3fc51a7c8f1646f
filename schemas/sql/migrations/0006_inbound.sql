-- The Kafka inbound topics: up to where each partition is taken, and what could not be taken. A
-- parked record is no ending: it never came into the intake log, and has no part in its sum.

-- The fence: who moves a partition on must have known where it stood. Written in one transaction
-- with what was parked on the way, and only after what was accepted is durable.
CREATE TABLE inbound_progress (
    topic        text NOT NULL CHECK (octet_length(topic) BETWEEN 1 AND 249),
    partition    integer NOT NULL CHECK (partition >= 0),
    next_offset  bigint NOT NULL CHECK (next_offset >= 0),
    moved_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, partition)
);

-- Whose turn it is to read. It spares work and is no promise: the fence keeps what is promised.
CREATE TABLE inbound_turn (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    owner  uuid NOT NULL,
    until  timestamptz NOT NULL
);

-- A place is not unique: a topic that is made anew counts from 0 again.
CREATE TABLE inbound_parked (
    parked_id    uuid PRIMARY KEY,
    topic        text NOT NULL CHECK (octet_length(topic) BETWEEN 1 AND 249),
    partition    integer NOT NULL,
    "offset"     bigint NOT NULL,
    -- More than one where the broker dropped them before they were read (reason `gone`).
    records      bigint NOT NULL DEFAULT 1 CHECK (records >= 1),
    reason       text NOT NULL CHECK (octet_length(reason) BETWEEN 1 AND 100),
    -- The registry id that was proved; empty where none was.
    laboratory   text NOT NULL CHECK (octet_length(laboratory) <= 200),
    size_bytes   bigint NOT NULL CHECK (size_bytes >= 0),
    -- Sealed (class intake): key, value, what it said of its sender. NULL where it is not kept.
    payload      bytea,
    parked_at    timestamptz NOT NULL,
    resolved_at  timestamptz,
    -- What the door answered in the end: AA or AE.
    resolution   text CHECK (resolution IN ('AA', 'AE')),
    CHECK ((resolved_at IS NULL) = (resolution IS NULL))
);
CREATE INDEX inbound_parked_waiting ON inbound_parked (parked_at, parked_id)
    WHERE resolved_at IS NULL;
CREATE INDEX inbound_parked_resolved ON inbound_parked (resolved_at) WHERE resolved_at IS NOT NULL;
