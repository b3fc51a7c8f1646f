-- Silent laboratories: what each usually sends, and when it is known to be closed. Only additions.

-- What was learned from lab_hour before learned_day (an ordinal, Europe/Paris): past as ops/silence
-- writes it, of a form; NULL where it had sent nothing. Learned anew each day; losing it loses nothing.
CREATE TABLE lab_past (
    lab_id       integer PRIMARY KEY REFERENCES lab (lab_id),
    learned_day  integer NOT NULL,
    form         smallint NOT NULL,
    past         bytea
) WITH (fillfactor = 70);

-- Days on which a laboratory sends nothing and that is right.
CREATE TABLE lab_closure (
    lab_id     integer NOT NULL REFERENCES lab (lab_id),
    first_day  date NOT NULL,
    last_day   date NOT NULL,
    actor      text NOT NULL CHECK (octet_length(actor) BETWEEN 1 AND 800),
    noted_at   timestamptz NOT NULL,
    PRIMARY KEY (lab_id, first_day),
    CHECK (last_day BETWEEN first_day AND first_day + 366)
);
CREATE INDEX lab_closure_by_end ON lab_closure (last_day);
