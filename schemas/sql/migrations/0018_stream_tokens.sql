-- Tokens of those who read streams over HTTP, and what each has read of a day.

-- A token: the SHA-256 of its secret alone. filter: pairs of name and value, as they are asked over
-- HTTP; a reader never gets what lies outside. A revoked one stays: it says by whom and when.
CREATE TABLE stream_token (
    token_id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name             text NOT NULL CHECK (name ~ '^[a-z][a-z0-9-]{0,39}$'),
    digest           bytea NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
    last4            text NOT NULL CHECK (length(last4) = 4),
    streams          text[] NOT NULL CHECK (cardinality(streams) BETWEEN 1 AND 3
        AND streams <@ ARRAY['dossier', 'contact-tracing', 'public-health']),
    filter           jsonb NOT NULL DEFAULT '[]',
    daily_events     bigint CHECK (daily_events > 0),      -- NULL: no quota
    max_connections  integer NOT NULL CHECK (max_connections > 0),
    expires_at       timestamptz NOT NULL,
    made_by          text NOT NULL,
    made_at          timestamptz NOT NULL,
    revoked_by       text,
    revoked_at       timestamptz
);
CREATE UNIQUE INDEX stream_token_by_name ON stream_token (name) WHERE revoked_at IS NULL;

-- What a token did on a day (UTC). events: given to it; under a quota also what a process holds ahead.
CREATE TABLE stream_use (
    token_id  integer NOT NULL REFERENCES stream_token (token_id),
    day       date NOT NULL,
    events    bigint NOT NULL DEFAULT 0 CHECK (events >= 0),
    reads     bigint NOT NULL DEFAULT 0,
    refused   bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (token_id, day)
);
CREATE INDEX stream_use_by_day ON stream_use (day);

-- Gives at most `asked` events of a token's day; 0: the quota is used up. One row a token and day, so
-- that any number of processes together never give more than the quota.
CREATE FUNCTION stream_quota_take(of_token integer, on_day date, asked bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    quota bigint;
    used  bigint;
    given bigint;
BEGIN
    INSERT INTO stream_use (token_id, day) VALUES (of_token, on_day) ON CONFLICT DO NOTHING;
    SELECT u.events INTO used FROM stream_use u
    WHERE u.token_id = of_token AND u.day = on_day FOR UPDATE;
    SELECT t.daily_events INTO quota FROM stream_token t WHERE t.token_id = of_token;
    given := least(asked, greatest(coalesce(quota, used + asked) - used, 0));
    UPDATE stream_use u SET events = used + given WHERE u.token_id = of_token AND u.day = on_day;
    RETURN given;
END $$;
