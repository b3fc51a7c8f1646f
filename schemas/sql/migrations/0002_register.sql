-- The register grows: mapping tables of laboratories, values that no table knows, conformance.
-- A row of one laboratory is written by dispatch alone (its partition has one owner at a time) and
-- by commands; nothing here is locked by two batches at once.

-- ---------------------------------------------------------------- local codes

-- What a laboratory writes -> the standard code it means. `folded` columns are what is compared
-- (ingest/codes.py: case, accents and blanks fold; nothing is ever searched inside a text). Every
-- change of these rows raises lab.profile_version in the same transaction and is audited.
CREATE TABLE lab_code (
    lab_id         integer NOT NULL REFERENCES lab (lab_id),
    kind           text NOT NULL CHECK (kind IN ('result', 'test')),
    folded         text NOT NULL CHECK (octet_length(folded) BETWEEN 1 AND 400),
    folded_system  text NOT NULL CHECK (octet_length(folded_system) <= 400),
    local          text NOT NULL CHECK (octet_length(local) BETWEEN 1 AND 200),
    local_system   text NOT NULL CHECK (octet_length(local_system) <= 200),
    code           text NOT NULL CHECK (octet_length(code) BETWEEN 1 AND 200),
    system         text NOT NULL CHECK (octet_length(system) BETWEEN 1 AND 200),
    text           text NOT NULL DEFAULT '' CHECK (octet_length(text) <= 200),
    PRIMARY KEY (lab_id, kind, folded, folded_system)
);

-- Local codes and short texts that no table knows, by frequency. The text is sealed, the key is a
-- keyed digest; `withheld` counts what may not be shown, and `beyond` what came when the
-- laboratory had its most rows: both have the nil digest and no payload.
CREATE TABLE lab_unmapped (
    lab_id         integer NOT NULL,
    kind           text NOT NULL CHECK (kind IN ('result', 'test', 'withheld', 'beyond')),
    digest         uuid NOT NULL,
    payload        bytea NOT NULL,
    n              bigint NOT NULL,
    first_seen_at  timestamptz NOT NULL,
    last_seen_at   timestamptz NOT NULL,
    PRIMARY KEY (lab_id, kind, digest)
) WITH (fillfactor = 85);

-- ---------------------------------------------------------------- conformance

-- Which software a laboratory sends with: MSH-3 and SFT, at most 200 bytes each.
CREATE TABLE lab_software (
    software_id    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    lab_id         integer NOT NULL,
    application    text NOT NULL CHECK (octet_length(application) <= 200),
    vendor         text NOT NULL CHECK (octet_length(vendor) <= 200),
    product        text NOT NULL CHECK (octet_length(product) <= 200),
    version        text NOT NULL CHECK (octet_length(version) <= 200),
    first_seen_at  timestamptz NOT NULL,
    UNIQUE (lab_id, application, vendor, product, version)
);

-- Messages by laboratory, software and day of receipt (UTC). messages = failed + warned + clean.
CREATE TABLE conformance_day (
    lab_id       integer NOT NULL,
    software_id  integer NOT NULL,
    day          date NOT NULL,
    messages     bigint NOT NULL,
    refused      bigint NOT NULL,
    failed       bigint NOT NULL,
    warned       bigint NOT NULL,
    clean        bigint NOT NULL,
    PRIMARY KEY (lab_id, software_id, day)
) WITH (fillfactor = 85);

-- Findings by laboratory, software, day and code: in how many messages, and how often.
CREATE TABLE conformance_finding (
    lab_id         integer NOT NULL,
    software_id    integer NOT NULL,
    day            date NOT NULL,
    code           text NOT NULL,
    level          text NOT NULL,
    messages       bigint NOT NULL,
    times          bigint NOT NULL,
    first_seen_at  timestamptz NOT NULL,
    last_seen_at   timestamptz NOT NULL,
    PRIMARY KEY (lab_id, software_id, day, code, level)
) WITH (fillfactor = 85);
