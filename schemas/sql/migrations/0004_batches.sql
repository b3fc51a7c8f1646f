-- Files of messages: what came, how far it is read, what was answered. A batch is no ending: each of
-- its messages has its own in the outcome table. Names and answers are sealed; both go when
-- their retention has passed.

CREATE TABLE batch (
    batch_id     uuid PRIMARY KEY,
    door         text NOT NULL CHECK (door IN ('folder', 'http')),
    -- Whose name space the name is of: the laboratory of a folder, or who may post.
    sender       text NOT NULL CHECK (octet_length(sender) <= 200),
    name         bytea NOT NULL CHECK (octet_length(name) <= 400),
    name_digest  uuid NOT NULL,
    content      bytea NOT NULL CHECK (octet_length(content) = 32),
    size_bytes   bigint NOT NULL CHECK (size_bytes >= 0),
    state        text NOT NULL DEFAULT 'reading' CHECK (state IN ('reading', 'done')),
    received_at  timestamptz NOT NULL,
    ended_at     timestamptz,
    -- How far it is read: all before `position` is answered, in the first `pieces` pieces.
    position     bigint NOT NULL DEFAULT 0,
    pieces       integer NOT NULL DEFAULT 0,
    messages     bigint NOT NULL DEFAULT 0,
    accepted     bigint NOT NULL DEFAULT 0,
    refused      bigint NOT NULL DEFAULT 0,
    rejected     bigint NOT NULL DEFAULT 0,
    unanswered   bigint NOT NULL DEFAULT 0,
    -- The reader's state (ingest/batch.py) and the findings on the file: numbers and codes alone.
    reading      jsonb NOT NULL,
    CHECK ((state = 'done') = (ended_at IS NOT NULL)),
    -- The same file under the same name is the same batch.
    UNIQUE (sender, name_digest, content)
);

CREATE INDEX batch_received_at ON batch (received_at);
CREATE INDEX batch_ended_at ON batch (ended_at);

-- The acknowledgements in their order, a window at a time; sealed (class intake).
CREATE TABLE batch_answer (
    batch_id  uuid NOT NULL REFERENCES batch (batch_id) ON DELETE CASCADE,
    piece     integer NOT NULL,
    payload   bytea NOT NULL,
    PRIMARY KEY (batch_id, piece)
);
