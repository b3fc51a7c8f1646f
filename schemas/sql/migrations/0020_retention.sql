-- Keeps the number until retention brings its own file of this name: take that one.
SELECT 1;
