-- How full limits are: theoretical arrival times, and what the last request of each was granted.
CREATE TABLE rate_cells (
    key TEXT NOT NULL PRIMARY KEY,
    tat BIGINT NOT NULL,
    granted BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX rate_cells_by_expiry ON rate_cells (expires_at);

-- Secrets that have been proved, as keyed digests: who knows one is not held up by guesses.
CREATE TABLE proved_secrets (
    mark TEXT NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
CREATE INDEX proved_secrets_by_expiry ON proved_secrets (expires_at);
