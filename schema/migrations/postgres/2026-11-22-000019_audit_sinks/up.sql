-- Where the audit is sent to. Without an owner: the whole deployment's.
CREATE TABLE audit_sinks (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    owner_id TEXT COLLATE "C" REFERENCES owners (id),
    name TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('active', 'paused')),
    state_reason TEXT,
    spec TEXT NOT NULL,
    sealed_secret BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX audit_sinks_by_owner ON audit_sinks (owner_id, id);

-- Who delivers to a sink now, what is on its way, and how it goes.
CREATE TABLE audit_sink_deliveries (
    sink_id TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES audit_sinks (id) ON DELETE CASCADE,
    lease_holder TEXT NOT NULL,
    leased_until BIGINT NOT NULL,
    opened BOOLEAN NOT NULL,
    batch TEXT NOT NULL,
    attempts BIGINT NOT NULL CHECK (attempts >= 0),
    due_at BIGINT NOT NULL,
    records BIGINT NOT NULL CHECK (records >= 0),
    batches BIGINT NOT NULL CHECK (batches >= 0),
    failed BIGINT NOT NULL CHECK (failed >= 0),
    missed BIGINT NOT NULL CHECK (missed >= 0),
    delivered_at BIGINT,
    failed_at BIGINT,
    failure TEXT
);

-- Up to which record of each chain a sink has had what it wants.
CREATE TABLE audit_sink_positions (
    sink_id TEXT COLLATE "C" NOT NULL REFERENCES audit_sinks (id) ON DELETE CASCADE,
    writer TEXT COLLATE "C" NOT NULL,
    n BIGINT NOT NULL CHECK (n >= 0),
    PRIMARY KEY (sink_id, writer)
);
