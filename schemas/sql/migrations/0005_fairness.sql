-- Fairness between laboratories: what the doors have in common about the day of each.

-- Messages taken on a day (UTC) from a laboratory that has a rate or a quota, by all processes
-- together. Each adds what it took, every second; nothing reads a day that is over.
CREATE TABLE lab_day (
    lab_id    integer NOT NULL REFERENCES lab (lab_id),
    day       date NOT NULL,
    messages  bigint NOT NULL CHECK (messages >= 0),
    PRIMARY KEY (day, lab_id)
);

-- A message may be answered again at the door, without another record of the same bytes.
ALTER TABLE door_count DROP CONSTRAINT door_count_answer_check;
ALTER TABLE door_count ADD CONSTRAINT door_count_answer_check
    CHECK (answer IN ('AR', 'unreadable', 'duplicate'));
