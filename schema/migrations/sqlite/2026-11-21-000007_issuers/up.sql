-- Issuers that are not ours, whose tokens are believed for what the row says.
CREATE TABLE issuers (
    id TEXT NOT NULL PRIMARY KEY,
    owner_id TEXT NOT NULL REFERENCES owners (id),
    -- The `iss` of its tokens, byte for byte; of a SPIFFE trust domain its id.
    issuer TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL CHECK (kind IN ('oidc', 'spiffe')),
    name TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('active', 'disabled')),
    spec TEXT NOT NULL,
    mapping TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX issuers_by_owner ON issuers (owner_id, id);
