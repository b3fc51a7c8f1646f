-- The stewards: merge, unmerge, verdicts, oppositions, the review queue, and what is still to be
-- emitted again. All of it is written by the transaction script (ops/dispatch.py), under the locks
-- of all blocking keys of everybody it is about. Digests and keys are keyed; no clear datum stands here.

-- ---------------------------------------------------------------- decisions

-- NOT VALID: a wider set than the one before, so every row fits; a table of this size is not read
-- through under an exclusive lock to find that out.
ALTER TABLE link_event DROP CONSTRAINT link_event_kind_check;
ALTER TABLE link_event ADD CONSTRAINT link_event_kind_check
    CHECK (kind IN ('new', 'link', 'isolate', 'review', 'merge', 'unmerge', 'verdict', 'oppose',
                    'allow')) NOT VALID;

-- ---------------------------------------------------------------- merges

-- What the kept person was known by before a merge, so that an unmerge can tell what came since.
-- One row stands (undone_by NULL) for each person whose merged_into is set.
CREATE TABLE person_merge (
    link_event_id  bigint PRIMARY KEY,
    kept_id        bigint NOT NULL REFERENCES person (person_id),
    gone_id        bigint NOT NULL REFERENCES person (person_id),
    kept_aliases   uuid[] NOT NULL,
    kept_ins       uuid[] NOT NULL,
    kept_keys      bigint[] NOT NULL,
    undone_by      bigint
);
CREATE UNIQUE INDEX person_merge_standing ON person_merge (gone_id) WHERE undone_by IS NULL;

-- The reports of both as they stood then: what is not here, or has another version, came since.
CREATE TABLE person_merge_report (
    link_event_id  bigint NOT NULL REFERENCES person_merge (link_event_id),
    report_id      uuid NOT NULL,
    version        integer NOT NULL,
    of_gone        boolean NOT NULL,
    PRIMARY KEY (link_event_id, report_id)
);

-- Both persons of what a steward did. link_event is searched by one of them, and an index of its own
-- for the other would cost every message.
CREATE TABLE steward_event (
    person_id      bigint NOT NULL,
    link_event_id  bigint NOT NULL,
    PRIMARY KEY (person_id, link_event_id)
);

-- ---------------------------------------------------------------- review

-- bits: the score in thousandths of a bit. postponed_at: somebody said `later`. proposed_by: with
-- four eyes, who said `same` first.
ALTER TABLE review_item
    ADD COLUMN kind          text NOT NULL DEFAULT 'guard'
        CHECK (kind IN ('guard', 'duplicate', 'ins', 'unmerge', 'steward')),
    ADD COLUMN priority      smallint NOT NULL DEFAULT 2 CHECK (priority BETWEEN 1 AND 3),
    ADD COLUMN bits          integer,
    ADD COLUMN model_version text NOT NULL DEFAULT '',
    ADD COLUMN postponed_at  timestamptz,
    ADD COLUMN proposed_by   text,
    ADD COLUMN proposed_at   timestamptz,
    ADD COLUMN verdict       text CHECK (verdict IN ('same', 'different', 'joined')),
    ADD COLUMN closed_by     text;
CREATE INDEX review_item_open ON review_item (priority, opened_at, review_item_id)
    WHERE closed_at IS NULL;
CREATE INDEX review_item_by_person ON review_item (person_id);
CREATE INDEX review_item_by_other ON review_item (other_person_id);
CREATE INDEX pair_verdict_by_other ON pair_verdict (other_person_id);

-- Where the search for possible duplicates stands.
CREATE TABLE duplicate_search (
    one             boolean PRIMARY KEY DEFAULT true CHECK (one),
    next_person_id  bigint NOT NULL DEFAULT 0
);
INSERT INTO duplicate_search (next_person_id) VALUES (0);

-- ---------------------------------------------------------------- oppositions

-- A patient's opposition to the dossier. person_id is who said it; standing_id whom that person is
-- merged into, kept by merge and unmerge, so that dispatch asks by the person it has.
CREATE TABLE opposition (
    opposition_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    person_id      bigint NOT NULL REFERENCES person (person_id),
    standing_id    bigint NOT NULL REFERENCES person (person_id),
    began_at       timestamptz NOT NULL,
    ended_at       timestamptz
);
CREATE UNIQUE INDEX opposition_standing ON opposition (person_id) WHERE ended_at IS NULL;
CREATE INDEX opposition_by_standing ON opposition (standing_id) WHERE ended_at IS NULL;

-- ---------------------------------------------------------------- to be emitted again

-- Persons whose reports are to be held against the streams again, some at a time: after_report is
-- up to where that was done.
CREATE TABLE reemission (
    person_id     bigint PRIMARY KEY REFERENCES person (person_id),
    reason        text NOT NULL CHECK (reason IN ('ins_gained', 'identity_changed', 'opposition')),
    after_report  uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    since         timestamptz NOT NULL
);

-- ---------------------------------------------------------------- who may

-- A steward's bearer token over HTTP: its SHA-256 alone. sees_identity: may ask for values.
CREATE TABLE steward (
    steward_id     integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name           text NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 200),
    digest         bytea NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
    last4          text NOT NULL CHECK (length(last4) = 4),
    sees_identity  boolean NOT NULL,
    added_at       timestamptz NOT NULL DEFAULT now(),
    revoked_at     timestamptz
);
CREATE UNIQUE INDEX steward_by_name ON steward (name) WHERE revoked_at IS NULL;
