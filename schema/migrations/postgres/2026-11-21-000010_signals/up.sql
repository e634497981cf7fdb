-- What can kill the tokens whose status is published, by their places in the lists.
CREATE TABLE status_entries (
    list TEXT COLLATE "C" NOT NULL,
    idx BIGINT NOT NULL CHECK (idx >= 0),
    issued_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    names TEXT NOT NULL,
    PRIMARY KEY (list, idx)
);
CREATE INDEX status_entries_by_expiry ON status_entries (expires_at);
ALTER TABLE resources ADD COLUMN status_list BOOLEAN NOT NULL DEFAULT FALSE;

-- What left the active state, newest last: the status of its tokens.
CREATE INDEX owners_not_active ON owners (updated_at) WHERE state <> 'active';
CREATE INDEX clients_not_active ON clients (updated_at) WHERE state <> 'active';
CREATE INDEX resources_not_active ON resources (updated_at) WHERE state <> 'active';
CREATE INDEX clients_by_end ON clients (expires_at) WHERE expires_at IS NOT NULL;

-- Who is told of security events, and how.
CREATE TABLE signal_streams (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    owner_id TEXT COLLATE "C" NOT NULL REFERENCES owners (id),
    client_id TEXT COLLATE "C" NOT NULL UNIQUE REFERENCES clients (id),
    state TEXT NOT NULL CHECK (state IN ('enabled', 'paused', 'disabled')),
    state_reason TEXT,
    spec TEXT NOT NULL,
    sealed_authorization BYTEA,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX signal_streams_by_owner ON signal_streams (owner_id, id);

-- What they have not acknowledged yet.
CREATE TABLE signal_outbox (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    stream_id TEXT COLLATE "C" NOT NULL,
    claims TEXT NOT NULL,
    attempts BIGINT NOT NULL CHECK (attempts >= 0),
    due_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX signal_outbox_by_stream ON signal_outbox (stream_id, created_at, id);
CREATE INDEX signal_outbox_by_due ON signal_outbox (due_at);
CREATE INDEX signal_outbox_by_expiry ON signal_outbox (expires_at);
