-- The 60-day rule, variants and the periods of pseudonyms. Rows of before have no day of reception
-- (that of their first handling stands for it), no variant, and are no continuation of another case,
-- until a version, another report of the case or a replay comes.

-- received_on: of the first version. variant: what the report has found of it. again and case_variant:
-- of the case, on the report that counts: it goes on with an earlier one; what its lines have found.
ALTER TABLE case_report
    ADD COLUMN received_on   date,
    ADD COLUMN variant       text NOT NULL DEFAULT '',
    ADD COLUMN again         boolean NOT NULL DEFAULT false,
    ADD COLUMN case_variant  text NOT NULL DEFAULT '';

-- How long a positive keeps the next from being a new case, and from when that runs. Fixed once:
-- what is stored beside every case was judged by it.
ALTER TABLE instance
    ADD COLUMN window_days      integer NOT NULL DEFAULT 60 CHECK (window_days BETWEEN 1 AND 3650),
    ADD COLUMN window_reading   text NOT NULL DEFAULT 'last_positive'
        CHECK (window_reading IN ('last_positive', 'last_counted')),
    ADD COLUMN window_fixed_at  timestamptz;

-- Of public health: the periods whose pseudonyms the stream holds, with a space between; empty of
-- everything else.
ALTER TABLE emitted ADD COLUMN pseudonym_periods text NOT NULL DEFAULT '';

-- Whose pseudonym of which period public health was told to read as another's: one row for each event
-- `pseudonym_replaced` that stands. Few: only merges make them, and their undoing takes them away.
CREATE TABLE pseudonym_replaced (
    person_id  bigint NOT NULL REFERENCES person (person_id),
    period     text NOT NULL,
    PRIMARY KEY (person_id, period)
);
