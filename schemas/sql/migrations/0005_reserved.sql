-- The number belongs to another change; nothing is done here.
SELECT 1;
