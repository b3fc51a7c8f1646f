-- Streams that wait: a person's word that one need not, and reports that a laboratory's new mapping
-- may bring an answer for.

-- content_digest: the word is about what was seen. What says something else waits again.
CREATE TABLE hold_release (
    report_id       uuid NOT NULL,
    stream          text NOT NULL,
    reason          text NOT NULL,
    content_digest  uuid NOT NULL,
    actor           text NOT NULL CHECK (octet_length(actor) BETWEEN 1 AND 800),
    why             text NOT NULL CHECK (octet_length(why) BETWEEN 1 AND 800),
    at              timestamptz NOT NULL,
    PRIMARY KEY (report_id, stream, reason, content_digest)
);

-- The oldest of a stream and reason, and the next ones.
CREATE INDEX hold_oldest ON hold (stream, reason, since, report_id);

-- Laboratories whose local codes have changed: those of their reports that wait for an answer are
-- mapped again. after_report: up to where that was asked for.
CREATE TABLE hold_recheck (
    lab_id        integer PRIMARY KEY REFERENCES lab (lab_id),
    after_report  uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    changed_at    timestamptz NOT NULL
);

-- Oppositions of people who are not known yet, by the keyed digest of their INS. Each becomes that of
-- a person with the first record that bears the INS, in that record's own transaction.
CREATE TABLE opposition_ahead (
    ins_digest  uuid PRIMARY KEY,
    began_at    timestamptz NOT NULL,
    actor       text NOT NULL CHECK (octet_length(actor) BETWEEN 1 AND 800)
);
