-- Push receivers: who is pushed to, how far, and what became of each event there. No clear datum and
-- no secret stands here: secrets are wrapped files beside the keys, tokens are digests.

-- One row a receiver that was ever added; a removed one keeps its name in the audit trail alone.
-- epoch: raised by whoever begins to lead it; a write with an older one changes nothing (the fence).
-- resigned: whoever led it last ended in order, so nothing of it can be under way.
CREATE TABLE receiver (
    receiver_id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name                text NOT NULL CHECK (name ~ '^[a-z][a-z0-9-]{0,39}$'),
    kind                text NOT NULL CHECK (kind IN ('fhir', 'webhook', 'mssante')),
    stream              text NOT NULL
        CHECK (stream IN ('dossier', 'contact-tracing', 'public-health')),
    url                 text NOT NULL CHECK (octet_length(url) BETWEEN 1 AND 2000),
    options             jsonb NOT NULL DEFAULT '{}',
    token_digest        bytea NOT NULL UNIQUE CHECK (octet_length(token_digest) = 32),
    secret_version      integer NOT NULL DEFAULT 0,   -- 0: it has none
    old_secret_version  integer NOT NULL DEFAULT 0,   -- signs too, until old_secret_until
    old_secret_until    timestamptz,
    state               text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'paused', 'gap')),
    state_reason        text NOT NULL DEFAULT '',
    trouble             text NOT NULL DEFAULT '',     -- why it cannot be sent to: a stable code
    failing_since       timestamptz,                  -- no answer was good since then
    answered_at         timestamptz,                  -- the last good answer
    last_code           text NOT NULL DEFAULT '',
    epoch               bigint NOT NULL DEFAULT 0,
    resigned            boolean NOT NULL DEFAULT true,
    revision            integer NOT NULL DEFAULT 1,
    added_at            timestamptz NOT NULL DEFAULT now(),
    removed_at          timestamptz
);
CREATE UNIQUE INDEX receiver_by_name ON receiver (name) WHERE removed_at IS NULL;

-- Up to where a receiver has taken each partition of its stream: what is behind it has a row in
-- delivery, what is before it waits in the outbox.
CREATE TABLE receiver_position (
    receiver_id  integer NOT NULL REFERENCES receiver (receiver_id),
    partition    integer NOT NULL,
    seq          bigint NOT NULL,
    PRIMARY KEY (receiver_id, partition)
);

-- What became of an event at a receiver. A dead letter is a row of state dead.
-- tried: it may have been sent, known or not. failures: those that are its own, not the receiver's.
-- unsure_at: a try of then had no answer, so it may still arrive there. put: what of the report this
-- version and earlier ones may have left there, a count by type. kept: it says what stands at a FHIR
-- server until a newer version is taken there; no age ends it.
CREATE TABLE delivery (
    receiver_id    integer NOT NULL REFERENCES receiver (receiver_id),
    event_id       uuid NOT NULL,
    partition      integer NOT NULL,
    seq            bigint NOT NULL,
    report_id      uuid NOT NULL,
    event_version  integer NOT NULL,
    kind           text NOT NULL,
    state          text NOT NULL
        CHECK (state IN ('waiting', 'accepted', 'dead', 'superseded', 'discarded')),
    tried          boolean NOT NULL DEFAULT false,
    attempts       integer NOT NULL DEFAULT 0,
    failures       integer NOT NULL DEFAULT 0,
    protocol       text NOT NULL DEFAULT '' CHECK (protocol IN ('', 'http', 'smtp', 'hl7', 'hub')),
    code           text NOT NULL DEFAULT '' CHECK (octet_length(code) <= 40),
    detail         text NOT NULL DEFAULT '' CHECK (octet_length(detail) <= 200),
    taken_at       timestamptz NOT NULL,
    tried_at       timestamptz,
    next_at        timestamptz NOT NULL,
    ended_at       timestamptz,
    unsure_at      timestamptz,
    put            jsonb NOT NULL DEFAULT '{}',
    kept           boolean NOT NULL DEFAULT false,
    PRIMARY KEY (receiver_id, event_id)
);
CREATE INDEX delivery_waiting ON delivery (receiver_id, next_at) WHERE state = 'waiting';
CREATE INDEX delivery_dead ON delivery (receiver_id, ended_at) WHERE state = 'dead';
CREATE INDEX delivery_ended ON delivery (ended_at)
    WHERE state IN ('accepted', 'superseded', 'discarded') AND NOT kept;
CREATE INDEX delivery_kept ON delivery (receiver_id) WHERE kept;
CREATE INDEX delivery_by_report ON delivery (report_id, receiver_id, event_version);

-- What a receiver said later of an event it had taken: a business acknowledgement (ZAM^Z01, ^Z02).
CREATE TABLE receiver_word (
    receiver_id  integer NOT NULL,
    event_id     uuid NOT NULL,
    word         text NOT NULL CHECK (octet_length(word) BETWEEN 1 AND 40),
    code         text NOT NULL CHECK (octet_length(code) <= 40),
    said_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (receiver_id, event_id, word, code),
    FOREIGN KEY (receiver_id, event_id) REFERENCES delivery (receiver_id, event_id) ON DELETE CASCADE
);
