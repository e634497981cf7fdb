-- What is forbidden although rows allow it. Without an owner: the deployment's own.
CREATE TABLE policies (
    id TEXT NOT NULL PRIMARY KEY,
    owner_id TEXT REFERENCES owners (id),
    name TEXT NOT NULL,
    text TEXT NOT NULL,
    hash TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('enabled', 'disabled', 'removed')),
    version BIGINT NOT NULL CHECK (version > 0),
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX policies_by_owner ON policies (owner_id, id);
-- A removed one stays, because records name it; its name is free again.
CREATE UNIQUE INDEX policies_by_name ON policies (COALESCE(owner_id, ''), name) WHERE state <> 'removed';

-- Every text there ever was. Nothing here is changed or deleted.
CREATE TABLE policy_versions (
    policy_id TEXT NOT NULL REFERENCES policies (id),
    version BIGINT NOT NULL CHECK (version > 0),
    text TEXT NOT NULL,
    hash TEXT NOT NULL,
    author TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (policy_id, version)
);
