-- Small tables whose rows change all the time: measured over an hour at 170 messages a second.
-- Room on the page lets a new version of a row lie beside the old one, so that no index is written and
-- the place of the old one is used again without vacuum (HOT). Vacuum takes what is left after a few
-- hundred dead rows, not after a share that was reckoned when the table was empty. Statistics of some
-- dozens of rows need not be made anew four times a minute: each making writes some kB of them.
ALTER TABLE stream_head SET (fillfactor = 50, autovacuum_analyze_threshold = 20000);
ALTER TABLE intake_head SET (fillfactor = 50, autovacuum_analyze_threshold = 20000);
ALTER TABLE intake_progress SET (fillfactor = 50, autovacuum_analyze_threshold = 20000);
ALTER TABLE receiver_position SET (fillfactor = 50, autovacuum_analyze_threshold = 20000);
ALTER TABLE receiver SET (fillfactor = 50, autovacuum_analyze_threshold = 20000);
ALTER TABLE dispatch_member SET (fillfactor = 50, autovacuum_analyze_threshold = 20000);
ALTER TABLE door_count SET (fillfactor = 50, autovacuum_analyze_threshold = 20000);
ALTER TABLE account_progress SET (fillfactor = 50, autovacuum_analyze_threshold = 20000);
ALTER TABLE account_day SET (fillfactor = 50, autovacuum_analyze_threshold = 20000);
ALTER TABLE account_in_flight SET (fillfactor = 50, autovacuum_analyze_threshold = 20000);
ALTER TABLE indicator_progress SET (fillfactor = 50, autovacuum_analyze_threshold = 20000);
ALTER TABLE indicator_position SET (fillfactor = 50, autovacuum_analyze_threshold = 20000);
ALTER TABLE conformance_day SET (fillfactor = 50, autovacuum_analyze_threshold = 20000);
ALTER TABLE conformance_finding SET (fillfactor = 50, autovacuum_analyze_threshold = 20000);
ALTER TABLE lab_hour SET (fillfactor = 50, autovacuum_analyze_threshold = 20000);
ALTER TABLE lab_unmapped SET (fillfactor = 50, autovacuum_analyze_threshold = 20000);
-- Its rows are deleted and written anew with each extraction.
ALTER TABLE indicator_due SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 200);
-- Rows of some hundred bytes up to 2 kB, each written whole: three of them fill a page.
ALTER TABLE indicator_cell SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
