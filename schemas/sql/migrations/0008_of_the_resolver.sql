-- The number of the resolver's migration, which replaces this file where both branches meet.
SELECT 1;
