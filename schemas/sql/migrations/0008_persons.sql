-- Persons at a million and more: which key function is in use, keys that too many persons share,
-- and no check on the hot path of what the writer itself has just made.

-- One row. Every transaction that uses keys reads it behind a shared advisory lock; whoever changes
-- it takes that lock alone, so that no transaction in flight goes by another state.
CREATE TABLE person_key_state (
    one            boolean PRIMARY KEY DEFAULT true CHECK (one),
    live           smallint NOT NULL CHECK (live BETWEEN 1 AND 15),
    filling        smallint CHECK (filling BETWEEN 1 AND 15 AND filling <> live),
    dropping       smallint CHECK (dropping BETWEEN 1 AND 15 AND dropping <> live),
    fill_until     bigint NOT NULL DEFAULT 0,
    filled_person  bigint NOT NULL DEFAULT 0,
    dropped_key    bigint NOT NULL DEFAULT (-9223372036854775808),
    unreadable     bigint NOT NULL DEFAULT 0,
    changed_at     timestamptz NOT NULL DEFAULT now(),
    CHECK (filling IS NULL OR dropping IS NULL)
);
-- What stands in the table was made by the first function, which knew no version.
INSERT INTO person_key_state (live) SELECT 1 WHERE EXISTS (SELECT FROM person_key);

-- Keys that more persons share than are compared: persons are found by narrower keys made of them.
CREATE TABLE hot_key (
    key      bigint PRIMARY KEY,
    persons  integer NOT NULL,
    since    timestamptz NOT NULL
);

-- A key, an INS or a set of traits is written in the transaction that holds its person's row, and
-- no person is ever deleted. The check cost a look-up and a row lock for each of ten keys.
ALTER TABLE person_key DROP CONSTRAINT person_key_person_id_fkey;
ALTER TABLE person_alias DROP CONSTRAINT person_alias_person_id_fkey;
ALTER TABLE person_ins DROP CONSTRAINT person_ins_person_id_fkey;

-- The day on which another INS took its place (a NIA's, when a NIR was declared beside it), and the
-- keyed digest of the five strict traits that it came with: whoever has no INS but these traits,
-- validated, may enter its dossier.
ALTER TABLE person_ins ADD COLUMN replaced_on date, ADD COLUMN strict_digest uuid;

-- Who was merged into whom, to be read backwards; nearly nobody.
CREATE INDEX person_merged ON person (merged_into) WHERE merged_into IS NOT NULL;

-- The machine's decision as bytes (dedup/evidence.py): a tenth of what it is as JSON, one for each
-- message. `evidence` is what stewards' acts say of themselves.
ALTER TABLE link_event ADD COLUMN decision bytea;
ALTER TABLE link_event ALTER COLUMN decision SET STORAGE MAIN;
ALTER TABLE link_event SET (toast_tuple_target = 8160);

-- A person's version moves with each message: room for it in the same page.
ALTER TABLE person SET (fillfactor = 85);
ALTER TABLE person_alias SET (fillfactor = 90, toast_tuple_target = 8160);
-- Ciphertext does not compress.
ALTER TABLE person_alias ALTER COLUMN payload SET STORAGE EXTERNAL;
ALTER TABLE person_ins ALTER COLUMN payload SET STORAGE EXTERNAL;
