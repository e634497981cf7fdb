-- A hold is made in the transaction that writes its use of the line: the key of that use keeps
-- the line. Nobody looks for holds by their line. SQLite drops no key but with its table.
CREATE TABLE new_holds (
    id TEXT NOT NULL PRIMARY KEY,
    line_id TEXT NOT NULL,
    client_id TEXT NOT NULL,
    jti TEXT,
    amount BIGINT NOT NULL CHECK (amount > 0),
    captured BIGINT NOT NULL CHECK (captured BETWEEN 0 AND amount),
    state TEXT NOT NULL CHECK (state IN ('open', 'captured', 'voided', 'expired')),
    path TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
INSERT INTO new_holds (id, line_id, client_id, jti, amount, captured, state, path, expires_at, created_at)
    SELECT id, line_id, client_id, jti, amount, captured, state, path, expires_at, created_at FROM budget_holds;

-- What refers to the old table can't outlive it; the reference follows the new one's name.
CREATE TABLE new_captures (
    id TEXT NOT NULL PRIMARY KEY,
    hold_id TEXT NOT NULL REFERENCES new_holds (id),
    spent BIGINT NOT NULL CHECK (spent >= 0),
    overage BIGINT NOT NULL CHECK (overage >= 0),
    refunded BIGINT NOT NULL CHECK (refunded BETWEEN 0 AND spent + overage),
    created_at BIGINT NOT NULL,
    overages TEXT
);
INSERT INTO new_captures (id, hold_id, spent, overage, refunded, created_at, overages)
    SELECT id, hold_id, spent, overage, refunded, created_at, overages FROM budget_captures;

DROP TABLE budget_captures;
DROP TABLE budget_holds;
ALTER TABLE new_holds RENAME TO budget_holds;
ALTER TABLE new_captures RENAME TO budget_captures;
CREATE INDEX budget_holds_due ON budget_holds (expires_at) WHERE state = 'open';
CREATE INDEX budget_captures_by_hold ON budget_captures (hold_id);
