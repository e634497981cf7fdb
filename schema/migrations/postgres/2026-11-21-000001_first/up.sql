CREATE TABLE owners (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('active', 'disabled')),
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE clients (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    owner_id TEXT COLLATE "C" NOT NULL REFERENCES owners (id),
    kind TEXT NOT NULL CHECK (kind IN ('agent', 'service', 'admin')),
    name TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('requested', 'active', 'suspended', 'revoked', 'retired')),
    state_reason TEXT,
    auth_method TEXT NOT NULL,
    legacy_assertion_aud BOOLEAN NOT NULL,
    access TEXT NOT NULL,
    scope_ceiling TEXT,
    max_ttl_seconds BIGINT NOT NULL CHECK (max_ttl_seconds > 0),
    roles TEXT NOT NULL,
    purpose TEXT NOT NULL,
    environment TEXT NOT NULL CHECK (environment IN ('sandbox', 'live')),
    may_act TEXT,
    reissue_of TEXT,
    expires_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX clients_by_owner ON clients (owner_id, id);

CREATE TABLE client_secrets (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    client_id TEXT COLLATE "C" NOT NULL REFERENCES clients (id),
    hash TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX client_secrets_by_client ON client_secrets (client_id);

CREATE TABLE client_keys (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    client_id TEXT COLLATE "C" NOT NULL REFERENCES clients (id),
    kid TEXT COLLATE "C" NOT NULL,
    alg TEXT NOT NULL,
    jwk TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    UNIQUE (client_id, kid)
);

CREATE TABLE resources (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    owner_id TEXT COLLATE "C" NOT NULL REFERENCES owners (id),
    uri TEXT COLLATE "C" NOT NULL UNIQUE,
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    environment TEXT CHECK (environment IN ('sandbox', 'live')),
    max_ttl_seconds BIGINT NOT NULL CHECK (max_ttl_seconds > 0),
    introspectors TEXT NOT NULL,
    budget_capable BOOLEAN NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('active', 'disabled')),
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX resources_by_owner ON resources (owner_id, id);

CREATE TABLE exchange_rules (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    actor_owner_id TEXT COLLATE "C" NOT NULL REFERENCES owners (id),
    subject_owner_id TEXT COLLATE "C" REFERENCES owners (id),
    target_owner_id TEXT COLLATE "C" NOT NULL REFERENCES owners (id),
    spec TEXT NOT NULL,
    accepted_by TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('active', 'disabled')),
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX exchange_rules_by_actor ON exchange_rules (actor_owner_id, id);
CREATE INDEX exchange_rules_by_subject ON exchange_rules (subject_owner_id, id);
CREATE INDEX exchange_rules_by_target ON exchange_rules (target_owner_id, id);

CREATE TABLE signing_keys (
    kid TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    alg TEXT NOT NULL,
    public_jwk TEXT NOT NULL,
    sealed_private BYTEA NOT NULL,
    publish_at BIGINT NOT NULL,
    activate_at BIGINT NOT NULL,
    retire_at BIGINT,
    remove_at BIGINT,
    distrusted_at BIGINT,
    created_at BIGINT NOT NULL
);

CREATE TABLE revocations (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL,
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    issued_before BIGINT,
    owner_id TEXT COLLATE "C",
    expires_at BIGINT NOT NULL,
    reason TEXT NOT NULL,
    severity TEXT NOT NULL,
    revoked_by TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX revocations_by_seq ON revocations (seq, id);
CREATE INDEX revocations_by_expiry ON revocations (expires_at);
CREATE INDEX revocations_by_owner ON revocations (owner_id, id);

CREATE TABLE jti_used (
    key_hash BYTEA NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
CREATE INDEX jti_used_by_expiry ON jti_used (expires_at);

CREATE TABLE feed_head (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    seq BIGINT NOT NULL,
    pruned_to BIGINT NOT NULL CHECK (pruned_to <= seq)
);

CREATE TABLE changes (
    seq BIGINT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX changes_by_time ON changes (at);

CREATE TABLE audit_writers (
    writer TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    started_at BIGINT NOT NULL
);
CREATE INDEX audit_writers_by_start ON audit_writers (started_at);

CREATE TABLE audit_records (
    writer TEXT COLLATE "C" NOT NULL,
    n BIGINT NOT NULL,
    at BIGINT NOT NULL,
    event TEXT NOT NULL,
    outcome TEXT NOT NULL,
    owner_id TEXT COLLATE "C",
    subject_owner_id TEXT COLLATE "C",
    client_id TEXT COLLATE "C",
    jti TEXT COLLATE "C",
    record TEXT NOT NULL,
    hash BYTEA NOT NULL,
    PRIMARY KEY (writer, n)
);
CREATE INDEX audit_records_by_owner ON audit_records (owner_id, at);
CREATE INDEX audit_records_by_subject_owner ON audit_records (subject_owner_id, at);
CREATE INDEX audit_records_by_jti ON audit_records (jti);
CREATE INDEX audit_records_by_time ON audit_records (at);

CREATE TABLE audit_checkpoints (
    writer TEXT COLLATE "C" NOT NULL,
    n BIGINT NOT NULL,
    hash BYTEA NOT NULL,
    at BIGINT NOT NULL,
    jws TEXT NOT NULL,
    PRIMARY KEY (writer, n)
);

INSERT INTO feed_head (id, seq, pruned_to) VALUES (1, 0, 0);
