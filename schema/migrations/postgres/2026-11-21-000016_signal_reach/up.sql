-- For which audiences there are tokens that something can kill, where that something does not
-- name the audience itself: an ancestor, a client it came through, a user, an issuer.
CREATE TABLE signal_reach (
    kind TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    audience TEXT COLLATE "C" NOT NULL,
    ends_at BIGINT NOT NULL,
    PRIMARY KEY (kind, value, audience, ends_at)
);
CREATE INDEX signal_reach_by_end ON signal_reach (ends_at);

-- How the delivery of a stream's events goes.
CREATE TABLE signal_deliveries (
    stream_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    delivered BIGINT NOT NULL CHECK (delivered >= 0),
    failed BIGINT NOT NULL CHECK (failed >= 0),
    delivered_at BIGINT,
    failed_at BIGINT,
    failure TEXT
);

-- Budget lines of which the last was spent, until somebody has told of it.
CREATE TABLE budget_exhaustions (
    line_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL
);
