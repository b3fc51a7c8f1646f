-- Persons whose reports are to be judged again by the rules in effect (`labdispatch route apply`).
ALTER TABLE reemission DROP CONSTRAINT reemission_reason_check;
ALTER TABLE reemission ADD CONSTRAINT reemission_reason_check
    CHECK (reason IN ('ins_gained', 'identity_changed', 'opposition', 'replayed', 'rules_changed'));
