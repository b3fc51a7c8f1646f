-- Sets of routing rules, and from when each is in effect. Append-only: a version stands on the events
-- that were made by it, so its text never changes, and what was in effect at any time can be told.
CREATE TABLE rule_set (
    version    text PRIMARY KEY CHECK (version ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$'),
    source     text NOT NULL CHECK (octet_length(source) <= 1048576),
    loaded_at  timestamptz NOT NULL DEFAULT now(),
    actor      text NOT NULL,
    why        text NOT NULL
);

-- The latest that has begun is in effect; of one moment, the one that was asked for last. A set is
-- taken back by putting the one before into effect again.
CREATE TABLE rule_effect (
    rule_effect_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version         text NOT NULL REFERENCES rule_set (version),
    effective_at    timestamptz NOT NULL,
    decided_at      timestamptz NOT NULL DEFAULT now(),
    actor           text NOT NULL,
    why             text NOT NULL
);
CREATE INDEX rule_effect_latest ON rule_effect (effective_at DESC, rule_effect_id DESC);

CREATE FUNCTION rules_are_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'sets of rules are append-only' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER rule_set_kept BEFORE UPDATE OR DELETE ON rule_set
    FOR EACH ROW EXECUTE FUNCTION rules_are_kept();
CREATE TRIGGER rule_effect_kept BEFORE UPDATE OR DELETE ON rule_effect
    FOR EACH ROW EXECUTE FUNCTION rules_are_kept();
