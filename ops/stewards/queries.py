"""The SQL of the stewards' transaction: literal, named, each with what it relies on."""

from __future__ import annotations

from typing import Final

# Everybody that some persons stand for: up to the ends of their pointers, and down again.
MEMBERS: Final = """
WITH RECURSIVE up AS (
    SELECT p.person_id, p.merged_into FROM person p WHERE p.person_id = ANY ($1::bigint[])
    UNION
    SELECT p.person_id, p.merged_into FROM up JOIN person p ON p.person_id = up.merged_into
), down AS (
    SELECT up.person_id FROM up WHERE up.merged_into IS NULL
    UNION
    SELECT p.person_id FROM down JOIN person p ON p.merged_into = down.person_id
)
SELECT p.person_id, p.merged_into, p.isolated FROM down JOIN person p USING (person_id)
ORDER BY p.person_id LIMIT $2
"""
KEYS: Final = """
SELECT k.person_id, k.key FROM person_key k WHERE k.person_id = ANY ($1::bigint[])
"""
ALIASES: Final = """
SELECT a.person_id, a.alias_digest, a.payload FROM person_alias a
WHERE a.person_id = ANY ($1::bigint[]) ORDER BY a.person_id, a.alias_digest
"""
INS: Final = """
SELECT i.person_id, i.ins_digest, i.payload FROM person_ins i
WHERE i.person_id = ANY ($1::bigint[]) ORDER BY i.person_id, i.ins_digest
"""
VERDICTS: Final = """
SELECT v.person_id, v.other_person_id, v.verdict FROM pair_verdict v
WHERE v.person_id = ANY ($1::bigint[]) AND v.other_person_id = ANY ($1::bigint[])
"""

# ---------------------------------------------------------------- events

WRITE_EVENT: Final = """
INSERT INTO link_event (at, kind, person_id, other_person_id, rule, model_version, evidence, actor)
VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb, $8) RETURNING link_event_id
"""
WRITE_STEWARD_EVENT: Final = """
INSERT INTO steward_event (person_id, link_event_id)
SELECT DISTINCT p.p, $2::bigint FROM unnest($1::bigint[]) AS p (p)
"""
# Decided again about a record, at an unmerge.
WRITE_RECORD_EVENTS: Final = """
INSERT INTO link_event (at, kind, person_id, other_person_id, partition, "offset", alias_digest,
                        rule, model_version, evidence, actor)
SELECT $8, e.k, e.p, e.x, e.n, e.o, e.a, 'unmerge', $9, $7::jsonb, $10
FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::integer[], $5::bigint[], $6::uuid[])
     AS e (k, p, x, n, o, a)
"""
EVENT: Final = """
SELECT link_event_id, at, kind, person_id, other_person_id, evidence, actor
FROM link_event WHERE link_event_id = $1
"""

# ---------------------------------------------------------------- merge

WRITE_MERGE: Final = """
INSERT INTO person_merge (link_event_id, kept_id, gone_id, kept_aliases, kept_ins, kept_keys)
VALUES ($1, $2, $3, $4, $5, $6)
"""
WRITE_MERGE_REPORTS: Final = """
INSERT INTO person_merge_report (link_event_id, report_id, version, of_gone)
SELECT $1, r.report_id, r.version, r.person_id = $3 FROM report r
WHERE r.person_id IN ($2, $3)
"""
# After the rows of the persons, in the order of report ids: dispatch locks reports in it too.
LOCK_REPORTS: Final = """
SELECT r.report_id FROM report r WHERE r.person_id = ANY ($1::bigint[])
ORDER BY r.report_id FOR UPDATE
"""
COUNT_REPORTS: Final = "SELECT count(*) FROM report WHERE person_id = ANY ($1::bigint[])"
POINT: Final = "UPDATE person SET merged_into = $2 WHERE person_id = $1"
MOVE_ALL_REPORTS: Final = "UPDATE report SET person_id = $2 WHERE person_id = $1"
RAISE_VERSIONS: Final = """
UPDATE person SET version = version + 1 WHERE person_id = ANY ($1::bigint[])
RETURNING person_id, version
"""
VERSIONS: Final = "SELECT person_id, version FROM person WHERE person_id = ANY ($1::bigint[])"
JOIN_OPPOSITIONS: Final = """
UPDATE opposition SET standing_id = $2 WHERE standing_id = $1 AND ended_at IS NULL
"""

# ---------------------------------------------------------------- unmerge

STANDING_MERGES: Final = """
SELECT m.link_event_id, m.kept_id, m.gone_id, m.kept_aliases, m.kept_ins, m.kept_keys
FROM person_merge m WHERE m.gone_id = ANY ($1::bigint[]) AND m.undone_by IS NULL
"""
MERGE_OF_EVENT: Final = """
SELECT m.link_event_id, m.kept_id, m.gone_id, m.undone_by FROM person_merge m
WHERE m.link_event_id = $1
"""
UNDO_MERGE: Final = "UPDATE person_merge SET undone_by = $2 WHERE link_event_id = $1"
# Of an end's reports, those that stood with the gone person (of_gone), and those that came or
# changed since. Not those of whom another merge proves that they were somebody else's: unchanged
# since, and on the kept side of a merge above ($3) or on the gone side of one beside ($4).
REPORTS_SINCE: Final = """
SELECT r.report_id, coalesce(m.of_gone, false) AS of_gone,
       m.version IS DISTINCT FROM r.version AS since
FROM report r
LEFT JOIN person_merge_report m ON m.link_event_id = $2 AND m.report_id = r.report_id
WHERE r.person_id = $1 AND (m.of_gone IS NOT FALSE OR m.version <> r.version)
  AND NOT EXISTS (
    SELECT 1 FROM person_merge_report x
    WHERE x.report_id = r.report_id AND x.version = r.version
      AND ((x.link_event_id = ANY ($3::bigint[]) AND NOT x.of_gone)
        OR (x.link_event_id = ANY ($4::bigint[]) AND x.of_gone)))
ORDER BY r.updated_at, r.partition, r."offset", r.position
"""
MOVE_REPORTS: Final = """
UPDATE report AS r SET person_id = m.p
FROM unnest($1::uuid[], $2::bigint[]) AS m (i, p) WHERE r.report_id = m.i
"""
# The payload goes with the day: the key that seals it is that of the day it was last seen.
COPY_ALIASES: Final = """
INSERT INTO person_alias (person_id, alias_digest, payload, first_seen_on, last_seen_on)
SELECT $2, a.alias_digest, a.payload, a.first_seen_on, a.last_seen_on FROM person_alias a
WHERE a.person_id = $1 AND a.alias_digest = ANY ($3::uuid[])
ON CONFLICT (person_id, alias_digest) DO UPDATE
SET last_seen_on = EXCLUDED.last_seen_on, payload = EXCLUDED.payload
WHERE person_alias.last_seen_on < EXCLUDED.last_seen_on
"""
COPY_INS: Final = """
INSERT INTO person_ins (person_id, ins_digest, oid, payload, first_seen_on, last_seen_on,
                        replaced_on, strict_digest)
SELECT $2, i.ins_digest, i.oid, i.payload, i.first_seen_on, i.last_seen_on, i.replaced_on,
       i.strict_digest
FROM person_ins i
WHERE i.person_id = $1 AND i.ins_digest = ANY ($3::uuid[])
ON CONFLICT (person_id, ins_digest) DO UPDATE
SET last_seen_on = EXCLUDED.last_seen_on, payload = EXCLUDED.payload
WHERE person_ins.last_seen_on < EXCLUDED.last_seen_on
"""
GIVE_KEYS: Final = """
INSERT INTO person_key (key, person_id) SELECT k.key, $1 FROM unnest($2::bigint[]) AS k (key)
ON CONFLICT DO NOTHING
"""
TAKE_ALIASES: Final = """
DELETE FROM person_alias WHERE person_id = $1 AND alias_digest = ANY ($2::uuid[])
"""
TAKE_INS: Final = "DELETE FROM person_ins WHERE person_id = $1 AND ins_digest = ANY ($2::uuid[])"
TAKE_KEYS: Final = "DELETE FROM person_key WHERE person_id = $1 AND key = ANY ($2::bigint[])"
PART_OPPOSITIONS: Final = """
UPDATE opposition SET standing_id = $2 WHERE person_id = ANY ($1::bigint[]) AND ended_at IS NULL
"""
NEW_PERSON: Final = """
INSERT INTO person (person_id, version, isolated, created_at) VALUES ($1, 0, false, $2)
"""

# ---------------------------------------------------------------- verdicts and items

HELD_VERDICT: Final = """
SELECT verdict FROM pair_verdict WHERE person_id = $1 AND other_person_id = $2
"""
WRITE_VERDICT: Final = """
INSERT INTO pair_verdict (person_id, other_person_id, verdict, actor, at)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (person_id, other_person_id) DO UPDATE
SET verdict = EXCLUDED.verdict, actor = EXCLUDED.actor, at = EXCLUDED.at
"""
FORGET_VERDICT: Final = """
DELETE FROM pair_verdict WHERE person_id = $1 AND other_person_id = $2
"""
# Every open item between everybody of two sides: one word of a steward answers all of them.
CLOSE_ITEMS: Final = """
UPDATE review_item SET closed_at = $3, closed_by = $4, verdict = $5
WHERE closed_at IS NULL
  AND ((person_id = ANY ($1::bigint[]) AND other_person_id = ANY ($2::bigint[]))
    OR (person_id = ANY ($2::bigint[]) AND other_person_id = ANY ($1::bigint[])))
RETURNING review_item_id
"""
REOPEN_ITEMS: Final = """
UPDATE review_item SET closed_at = NULL, closed_by = NULL, verdict = NULL
WHERE review_item_id = ANY ($1::bigint[])
"""
POSTPONE_ITEMS: Final = """
UPDATE review_item SET postponed_at = $3
WHERE closed_at IS NULL
  AND ((person_id = ANY ($1::bigint[]) AND other_person_id = ANY ($2::bigint[]))
    OR (person_id = ANY ($2::bigint[]) AND other_person_id = ANY ($1::bigint[])))
"""
OPEN_ITEM: Final = """
INSERT INTO review_item (opened_at, person_id, other_person_id, guard, evidence, kind, priority)
VALUES ($1, $2, $3, $4, $5::jsonb, $6, $7)
ON CONFLICT (person_id, other_person_id, guard) DO UPDATE
SET opened_at = EXCLUDED.opened_at, closed_at = NULL, closed_by = NULL, verdict = NULL,
    proposed_by = NULL, proposed_at = NULL
WHERE review_item.closed_at IS NOT NULL
"""

PROPOSALS: Final = """
SELECT r.proposed_by FROM review_item r
WHERE r.closed_at IS NULL AND r.proposed_by IS NOT NULL
  AND ((r.person_id = $1 AND r.other_person_id = $2)
    OR (r.person_id = $2 AND r.other_person_id = $1))
"""
# Who said it first stays first.
PROPOSE: Final = """
UPDATE review_item SET proposed_by = $3, proposed_at = $4
WHERE closed_at IS NULL AND proposed_by IS NULL
  AND ((person_id = $1 AND other_person_id = $2) OR (person_id = $2 AND other_person_id = $1))
"""

# ---------------------------------------------------------------- oppositions

STANDING_OPPOSITIONS: Final = """
SELECT o.person_id, o.standing_id FROM opposition o
WHERE o.standing_id = ANY ($1::bigint[]) AND o.ended_at IS NULL
"""
OPPOSE: Final = """
INSERT INTO opposition (person_id, standing_id, began_at) VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING RETURNING opposition_id
"""
ALLOW: Final = """
UPDATE opposition SET ended_at = $2 WHERE person_id = ANY ($1::bigint[]) AND ended_at IS NULL
RETURNING opposition_id
"""
END_OPPOSITIONS: Final = """
UPDATE opposition SET ended_at = $2 WHERE opposition_id = ANY ($1::bigint[]) AND ended_at IS NULL
RETURNING opposition_id
"""
# One that was said again meanwhile stands already.
OPPOSITIONS: Final = """
SELECT o.opposition_id, o.person_id FROM opposition o
WHERE o.opposition_id = ANY ($1::bigint[]) AND o.ended_at IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM opposition x
                  WHERE x.person_id = o.person_id AND x.ended_at IS NULL)
ORDER BY o.opposition_id
"""
REOPEN_OPPOSITION: Final = """
UPDATE opposition SET ended_at = NULL, standing_id = $2 WHERE opposition_id = $1
"""

# Of a batch's persons who opposes, and which of its INS were opposed before anybody was known by
# them: those rows go in this statement, for they become oppositions of persons now.
OPPOSED: Final = """
WITH ahead AS (
    DELETE FROM opposition_ahead a WHERE a.ins_digest = ANY ($2::uuid[])
    RETURNING a.ins_digest, a.began_at, a.actor
)
SELECT o.standing_id, NULL::uuid AS ins_digest, NULL::timestamptz AS began_at, '' AS actor
FROM opposition o WHERE o.standing_id = ANY ($1::bigint[]) AND o.ended_at IS NULL
UNION ALL SELECT NULL, ahead.ins_digest, ahead.began_at, ahead.actor FROM ahead
"""
OPPOSE_AHEAD: Final = """
INSERT INTO opposition_ahead (ins_digest, began_at, actor)
SELECT d.d, $2, $3 FROM unnest($1::uuid[]) AS d (d)
ON CONFLICT DO NOTHING RETURNING ins_digest
"""
ALLOW_AHEAD: Final = """
DELETE FROM opposition_ahead a WHERE a.ins_digest = ANY ($1::uuid[]) RETURNING a.ins_digest
"""
# By the INS's key, which is indexed, and then by its digest.
BY_INS: Final = """
SELECT DISTINCT i.person_id
FROM unnest($1::bigint[], $2::uuid[]) AS asked (k, d)
JOIN person_key p ON p.key = asked.k
JOIN person_ins i ON i.person_id = p.person_id AND i.ins_digest = asked.d
"""
LABORATORY: Final = "SELECT l.lab_id FROM lab l WHERE l.registry_id = $1"
LAST_OUTCOME: Final = """
SELECT o."offset" FROM outcome o WHERE o.partition = $1 ORDER BY o."offset" DESC LIMIT 1
"""
OUTCOMES: Final = """
SELECT o."offset", o.report_ids FROM outcome o
WHERE o.partition = $1 AND o."offset" >= $2 AND o."offset" < $3 AND o.lab_id = $4
  AND o.ending = 'dispatched'
"""
OWNERS_OF: Final = """
SELECT DISTINCT r.person_id FROM report r WHERE r.report_id = ANY ($1::uuid[])
"""

# ---------------------------------------------------------------- emitted again

REPORTS_PAGE: Final = """
SELECT r.report_id, r.report_key, r.person_id, r.version, r.content_digest, r.partition, r."offset",
       r.position
FROM report r WHERE r.person_id = ANY ($1::bigint[]) AND r.report_id > $2
ORDER BY r.report_id LIMIT $3
"""
# To whose dossier reports went that stand there.
ADDRESSEES: Final = """
SELECT e.report_id, e.addressee FROM emitted e
WHERE e.report_id = ANY ($1::uuid[]) AND e.stream = 'dossier' AND e.published
"""
REMAINS: Final = """
INSERT INTO reemission (person_id, reason, after_report, since)
SELECT p.p, $2, $3, $4 FROM unnest($1::bigint[]) AS p (p)
ON CONFLICT (person_id) DO UPDATE
SET after_report = least(reemission.after_report, EXCLUDED.after_report), reason = EXCLUDED.reason,
    since = least(reemission.since, EXCLUDED.since)
"""
# What is due already for another reason keeps that: it is held against the rules of then all the
# same, from its first report on.
RULES_CHANGED: Final = """
INSERT INTO reemission (person_id, reason, after_report, since)
SELECT p.p, 'rules_changed', $2, $3 FROM unnest($1::bigint[]) AS p (p)
ON CONFLICT (person_id) DO UPDATE
SET after_report = EXCLUDED.after_report, since = least(reemission.since, EXCLUDED.since)
"""
# Who was put off stands in the future: its turn comes then, or with the next cause.
NEXT_DUE: Final = """
SELECT e.person_id, e.reason, e.after_report FROM reemission e
WHERE e.since <= $2
ORDER BY e.since, e.person_id LIMIT $1
"""
DUE_OF: Final = """
SELECT e.person_id, e.reason, e.after_report FROM reemission e
WHERE e.person_id = ANY ($1::bigint[]) ORDER BY e.person_id FOR UPDATE
"""
DONE: Final = "DELETE FROM reemission WHERE person_id = ANY ($1::bigint[])"
PUT_OFF: Final = "UPDATE reemission SET since = $2 WHERE person_id = $1"
COUNT_DUE: Final = "SELECT count(*) FROM reemission"

AUDIT: Final = "SELECT audit_append($1, $2, $3, $4)"
