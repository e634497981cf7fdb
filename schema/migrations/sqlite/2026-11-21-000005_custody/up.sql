-- What agents use and never own: keys of other services, sealed.
CREATE TABLE credentials (
    id TEXT NOT NULL PRIMARY KEY,
    owner_id TEXT NOT NULL REFERENCES owners (id),
    name TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('api_key', 'basic', 'oauth_client_credentials', 'headers')),
    environment TEXT NOT NULL CHECK (environment IN ('sandbox', 'live')),
    state TEXT NOT NULL CHECK (state IN ('active', 'disabled', 'destroyed')),
    spec TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX credentials_by_owner ON credentials (owner_id, id);

-- A destroyed version has no sealed value: its data key is gone with it.
CREATE TABLE credential_versions (
    id TEXT NOT NULL PRIMARY KEY,
    credential_id TEXT NOT NULL REFERENCES credentials (id),
    number BIGINT NOT NULL CHECK (number > 0),
    state TEXT NOT NULL CHECK (state IN ('pending', 'active', 'retiring', 'retired', 'destroyed')),
    sealed BLOB,
    kek_id TEXT,
    fingerprint TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    activated_at BIGINT,
    retire_at BIGINT,
    destroyed_at BIGINT,
    compromised_at BIGINT,
    UNIQUE (credential_id, number),
    CHECK ((state = 'destroyed') = (sealed IS NULL)),
    CHECK ((sealed IS NULL) = (kek_id IS NULL))
);
CREATE INDEX credential_versions_by_kek ON credential_versions (kek_id, id) WHERE kek_id IS NOT NULL;
CREATE UNIQUE INDEX credential_versions_active ON credential_versions (credential_id) WHERE state = 'active';

CREATE TABLE credential_grants (
    id TEXT NOT NULL PRIMARY KEY,
    credential_id TEXT NOT NULL REFERENCES credentials (id),
    agent_id TEXT NOT NULL REFERENCES clients (id),
    owner_id TEXT NOT NULL REFERENCES owners (id),
    state TEXT NOT NULL CHECK (state IN ('active', 'disabled')),
    spec TEXT NOT NULL,
    expires_at BIGINT,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (credential_id, agent_id)
);
CREATE INDEX credential_grants_by_agent ON credential_grants (agent_id, id);
CREATE INDEX credential_grants_by_owner ON credential_grants (owner_id, id);

-- Who has seen which version in clear. It outlives the grant: what was seen stays seen.
CREATE TABLE credential_exposures (
    version_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    credential_id TEXT NOT NULL,
    mode TEXT NOT NULL,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    PRIMARY KEY (version_id, agent_id)
);
CREATE INDEX credential_exposures_by_credential ON credential_exposures (credential_id);
CREATE INDEX credential_exposures_by_agent ON credential_exposures (agent_id);

-- When a grant was last used; written now and then, not with each use.
CREATE TABLE credential_uses (
    grant_id TEXT NOT NULL PRIMARY KEY,
    version_id TEXT NOT NULL,
    mode TEXT NOT NULL,
    uses BIGINT NOT NULL,
    last_at BIGINT NOT NULL
);

-- Counted limits: one row a counter, so that its row lock is the counter's lock.
CREATE TABLE counters (
    key TEXT NOT NULL PRIMARY KEY,
    state TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX counters_by_expiry ON counters (expires_at);

-- Secrets of the deployment itself, each made once at the first start.
CREATE TABLE server_secrets (
    name TEXT NOT NULL PRIMARY KEY,
    sealed BLOB NOT NULL,
    created_at BIGINT NOT NULL
);
