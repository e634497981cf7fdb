CREATE TABLE budget_lines (
    id TEXT NOT NULL PRIMARY KEY,
    owner_id TEXT NOT NULL REFERENCES owners (id),
    account_kind TEXT NOT NULL CHECK (account_kind IN ('owner', 'agent', 'task', 'token')),
    account_id TEXT NOT NULL,
    parent_id TEXT REFERENCES budget_lines (id),
    unit TEXT NOT NULL,
    decimals BIGINT NOT NULL CHECK (decimals BETWEEN 0 AND 9),
    amount BIGINT NOT NULL CHECK (amount BETWEEN 0 AND 999999999999999),
    per_call BIGINT CHECK (per_call BETWEEN 0 AND 999999999999999),
    time_window TEXT NOT NULL,
    enforce TEXT NOT NULL CHECK (enforce IN ('as', 'rs')),
    state TEXT NOT NULL CHECK (state IN ('active', 'closed')),
    expires_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX budget_lines_by_owner ON budget_lines (owner_id, id);
CREATE INDEX budget_lines_by_account ON budget_lines (account_kind, account_id);
CREATE INDEX budget_lines_by_parent ON budget_lines (parent_id);

CREATE TABLE budget_uses (
    line_id TEXT NOT NULL REFERENCES budget_lines (id),
    period BIGINT NOT NULL,
    held BIGINT NOT NULL CHECK (held >= 0),
    spent BIGINT NOT NULL CHECK (spent >= 0),
    carved BIGINT NOT NULL CHECK (carved >= 0),
    overage BIGINT NOT NULL CHECK (overage >= 0),
    told BIGINT NOT NULL,
    PRIMARY KEY (line_id, period)
);

CREATE TABLE budget_holds (
    id TEXT NOT NULL PRIMARY KEY,
    line_id TEXT NOT NULL REFERENCES budget_lines (id),
    client_id TEXT NOT NULL,
    jti TEXT,
    amount BIGINT NOT NULL CHECK (amount > 0),
    captured BIGINT NOT NULL CHECK (captured BETWEEN 0 AND amount),
    state TEXT NOT NULL CHECK (state IN ('open', 'captured', 'voided', 'expired')),
    path TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX budget_holds_due ON budget_holds (state, expires_at);
CREATE INDEX budget_holds_by_line ON budget_holds (line_id, id);

CREATE TABLE budget_captures (
    id TEXT NOT NULL PRIMARY KEY,
    hold_id TEXT NOT NULL REFERENCES budget_holds (id),
    spent BIGINT NOT NULL CHECK (spent >= 0),
    overage BIGINT NOT NULL CHECK (overage >= 0),
    refunded BIGINT NOT NULL CHECK (refunded BETWEEN 0 AND spent + overage),
    created_at BIGINT NOT NULL
);
CREATE INDEX budget_captures_by_hold ON budget_captures (hold_id);

CREATE TABLE budget_answers (
    key_hash BLOB NOT NULL PRIMARY KEY,
    digest BLOB NOT NULL,
    answer TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX budget_answers_by_expiry ON budget_answers (expires_at);
