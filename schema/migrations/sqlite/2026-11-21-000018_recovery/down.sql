ALTER TABLE feed_head DROP COLUMN epoch;
ALTER TABLE feed_head DROP COLUMN recover_from;
