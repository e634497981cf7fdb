-- A database that went back: 0, or the newest sequence that a node had seen of the feed before.
ALTER TABLE feed_head ADD COLUMN recover_from BIGINT NOT NULL DEFAULT 0;
-- Grows with each recovery: an audit chain does not go on across one.
ALTER TABLE feed_head ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;
