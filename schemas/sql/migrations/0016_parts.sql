-- Every condition of a report is told apart (ADR 0039): what a stream holds of a report is held in
-- parts. A part is a condition code; it is empty in the dossier, which has the whole report.

-- told_as: the id that events bear in place of the report's, where they must not be joined to what
-- else is told of it (conditions that are declared anonymously).
ALTER TABLE emitted
    ADD COLUMN part     text NOT NULL DEFAULT '',
    ADD COLUMN told_as  uuid;
ALTER TABLE emitted DROP CONSTRAINT emitted_pkey;
ALTER TABLE emitted ADD PRIMARY KEY (report_id, stream, part);
-- Few rows have one; dead letters at receivers know the report by it alone.
CREATE INDEX emitted_told_as ON emitted (told_as) WHERE told_as IS NOT NULL;

-- The conditions for which a stream waits; empty where it is the whole report.
ALTER TABLE hold ADD COLUMN parts text[] NOT NULL DEFAULT '{}';

ALTER TABLE stream_event ADD COLUMN part text NOT NULL DEFAULT '';
ALTER TABLE delivery ADD COLUMN part text NOT NULL DEFAULT '';

-- What was told of before has no part there. Everybody of whom something stands or waits is looked
-- at again, a page at a time: it is withdrawn as it was told, and published by its parts.
ALTER TABLE reemission
    DROP CONSTRAINT reemission_reason_check,
    ADD CHECK (reason IN ('ins_gained', 'identity_changed', 'opposition', 'replayed'));
INSERT INTO reemission (person_id, reason, after_report, since)
SELECT DISTINCT r.person_id, 'replayed', '00000000-0000-0000-0000-000000000000'::uuid, now()
FROM (
    SELECT e.report_id, e.stream FROM emitted e WHERE e.published
    UNION SELECT h.report_id, h.stream FROM hold h
) AS known
JOIN report r USING (report_id)
WHERE known.stream IN ('contact-tracing', 'public-health')
ON CONFLICT (person_id) DO UPDATE SET after_report = EXCLUDED.after_report;
