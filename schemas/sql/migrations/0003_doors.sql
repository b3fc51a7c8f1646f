-- The doors: what a laboratory proves itself with, for whom it may speak, and how much it may send.
-- Whoever changes the register locks the row of register_version first (ops/register/labs.py,
-- ingest/lab_store.py): changes come one after the other, and versions are in commit order.

-- ---------------------------------------------------------------- limits

-- NULL is none: a laboratory has no limit until somebody sets one.
ALTER TABLE lab
    ADD COLUMN rate_per_second  double precision
        CHECK (rate_per_second > 0 AND rate_per_second <= 1000000),
    ADD COLUMN burst            integer CHECK (burst BETWEEN 1 AND 1000000),
    ADD COLUMN daily_quota      bigint CHECK (daily_quota BETWEEN 1 AND 1000000000),
    ADD COLUMN max_connections  integer CHECK (max_connections BETWEEN 1 AND 1000000),
    -- What `labs resume` puts it back to; written when it is suspended.
    ADD COLUMN resumes_as       text NOT NULL DEFAULT 'live'
        CHECK (resumes_as IN ('onboarding', 'live'));

-- ---------------------------------------------------------------- who speaks for whom

-- Sending facilities (MSH-4) that a laboratory may speak for beside its own registry id. One
-- facility belongs to one laboratory, and is never a laboratory of its own besides.
CREATE TABLE lab_facility (
    registry_id  text PRIMARY KEY CHECK (octet_length(registry_id) BETWEEN 1 AND 200),
    lab_id       integer NOT NULL REFERENCES lab (lab_id)
);
CREATE INDEX lab_facility_by_lab ON lab_facility (lab_id);

-- A certificate by its fingerprint (SHA-256 of the DER), or a rule: the whole subject (RFC 4514).
-- Rows are never deleted: a fingerprint that was revoked stays so, also where a subject rule fits.
CREATE TABLE lab_certificate (
    certificate_id  integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    lab_id          integer NOT NULL REFERENCES lab (lab_id),
    fingerprint     bytea CHECK (octet_length(fingerprint) = 32),
    subject         text NOT NULL CHECK (octet_length(subject) BETWEEN 1 AND 1000),
    not_before      timestamptz,
    not_after       timestamptz,
    added_at        timestamptz NOT NULL DEFAULT now(),
    revoked_at      timestamptz,
    CHECK (fingerprint IS NULL OR (not_before IS NOT NULL AND not_after IS NOT NULL))
);
CREATE UNIQUE INDEX lab_certificate_by_fingerprint ON lab_certificate (fingerprint);
CREATE UNIQUE INDEX lab_certificate_by_rule ON lab_certificate (subject)
    WHERE fingerprint IS NULL AND revoked_at IS NULL;
CREATE INDEX lab_certificate_by_lab ON lab_certificate (lab_id);

-- A bearer token: its SHA-256 alone. The last four characters tell one from another in a list.
CREATE TABLE lab_token (
    token_id    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    lab_id      integer NOT NULL REFERENCES lab (lab_id),
    digest      bytea NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
    name        text NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 200),
    last4       text NOT NULL CHECK (length(last4) = 4),
    added_at    timestamptz NOT NULL DEFAULT now(),
    revoked_at  timestamptz
);
CREATE INDEX lab_token_by_lab ON lab_token (lab_id);

-- ---------------------------------------------------------------- one number for the doors

-- Increases with each change of what a door reads; a door asks for it and reads the rest only when
-- it moved. The rows of a mapping table count through lab.profile_version.
CREATE TABLE register_version (
    one      boolean PRIMARY KEY DEFAULT true CHECK (one),
    version  bigint NOT NULL
);
INSERT INTO register_version (version) VALUES (1);

CREATE FUNCTION register_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE register_version SET version = version + 1;
    RETURN NULL;
END $$;

CREATE TRIGGER lab_changed AFTER INSERT OR UPDATE OR DELETE ON lab
    FOR EACH STATEMENT EXECUTE FUNCTION register_changed();
CREATE TRIGGER lab_facility_changed AFTER INSERT OR UPDATE OR DELETE ON lab_facility
    FOR EACH STATEMENT EXECUTE FUNCTION register_changed();
CREATE TRIGGER lab_certificate_changed AFTER INSERT OR UPDATE OR DELETE ON lab_certificate
    FOR EACH STATEMENT EXECUTE FUNCTION register_changed();
CREATE TRIGGER lab_token_changed AFTER INSERT OR UPDATE OR DELETE ON lab_token
    FOR EACH STATEMENT EXECUTE FUNCTION register_changed();
