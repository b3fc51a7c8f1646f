-- Holds the number of a migration that is written elsewhere at the same time; goes away with it.
SELECT 1;
