-- Exchanges that wait for people. Of the tokens that were presented only the verified claims are
-- kept, and of the handle the client polls with only its hash.
CREATE TABLE approval_requests (
    id TEXT NOT NULL PRIMARY KEY,
    handle_hash BYTEA NOT NULL,
    client_id TEXT NOT NULL REFERENCES clients (id),
    owner_id TEXT NOT NULL REFERENCES owners (id),
    subject_owner_id TEXT REFERENCES owners (id),
    target_owner_id TEXT NOT NULL REFERENCES owners (id),
    state TEXT NOT NULL CHECK (state IN ('pending', 'approved', 'refused', 'consumed')),
    asked TEXT NOT NULL,
    offered TEXT NOT NULL,
    approvers TEXT NOT NULL,
    decisions TEXT NOT NULL,
    binding_message TEXT,
    jti TEXT,
    polled_at BIGINT,
    interval_seconds BIGINT NOT NULL CHECK (interval_seconds > 0),
    expires_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    CHECK ((state = 'consumed') = (jti IS NOT NULL))
);
CREATE UNIQUE INDEX approval_requests_by_handle ON approval_requests (handle_hash);
CREATE INDEX approval_requests_by_client ON approval_requests (client_id, expires_at);
CREATE INDEX approval_requests_by_owner ON approval_requests (owner_id, id);
CREATE INDEX approval_requests_by_subject_owner ON approval_requests (subject_owner_id, id);
CREATE INDEX approval_requests_by_target_owner ON approval_requests (target_owner_id, id);
CREATE INDEX approval_requests_by_expiry ON approval_requests (expires_at);

-- Who answers for a client: a person, who may go. Offered to another it is theirs once accepted;
-- with nobody left the client is suspended at `suspend_at`.
CREATE TABLE responsibilities (
    client_id TEXT NOT NULL PRIMARY KEY REFERENCES clients (id),
    owner_id TEXT NOT NULL REFERENCES owners (id),
    person TEXT NOT NULL,
    offered_to TEXT,
    offered_by TEXT,
    orphaned_at BIGINT,
    suspend_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    CHECK ((offered_to IS NULL) = (offered_by IS NULL)),
    CHECK (suspend_at IS NULL OR orphaned_at IS NOT NULL)
);
CREATE INDEX responsibilities_by_person ON responsibilities (person, client_id);
CREATE INDEX responsibilities_by_offer ON responsibilities (offered_to, client_id) WHERE offered_to IS NOT NULL;
CREATE INDEX responsibilities_by_suspension ON responsibilities (suspend_at) WHERE suspend_at IS NOT NULL;
