-- What lets programs register clients of an owner, and what those clients get at most.
CREATE TABLE registration_tokens (
    id TEXT NOT NULL PRIMARY KEY,
    owner_id TEXT NOT NULL REFERENCES owners (id),
    name TEXT NOT NULL,
    hash BYTEA NOT NULL UNIQUE,
    template TEXT NOT NULL,
    max_uses BIGINT NOT NULL CHECK (max_uses > 0),
    uses BIGINT NOT NULL CHECK (uses BETWEEN 0 AND max_uses),
    state TEXT NOT NULL CHECK (state IN ('active', 'revoked')),
    expires_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX registration_tokens_by_owner ON registration_tokens (owner_id, id);

-- How a registered client is managed by whoever registered it, and what it said of itself.
CREATE TABLE client_registrations (
    client_id TEXT NOT NULL PRIMARY KEY REFERENCES clients (id),
    token_id TEXT NOT NULL REFERENCES registration_tokens (id),
    access_hash BYTEA NOT NULL,
    metadata TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX client_registrations_by_token ON client_registrations (token_id, client_id);
