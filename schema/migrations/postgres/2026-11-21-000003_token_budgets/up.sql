ALTER TABLE budget_lines ADD COLUMN increase BIGINT NOT NULL DEFAULT 0 CHECK (increase BETWEEN 0 AND 999999999999999);
ALTER TABLE budget_lines ADD COLUMN increase_until BIGINT;
ALTER TABLE budget_lines ADD COLUMN audience TEXT;
CREATE INDEX budget_lines_by_expiry ON budget_lines (expires_at) WHERE expires_at IS NOT NULL;

ALTER TABLE budget_captures ADD COLUMN overages TEXT;
UPDATE budget_captures SET overages = '[' || overage || ']' WHERE overage > 0;

CREATE TABLE budget_carves (
    line_id TEXT NOT NULL PRIMARY KEY REFERENCES budget_lines (id),
    path TEXT NOT NULL,
    amount BIGINT NOT NULL CHECK (amount > 0),
    reported BIGINT NOT NULL CHECK (reported >= 0),
    final BOOLEAN NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'settled')),
    returned BIGINT NOT NULL CHECK (returned BETWEEN 0 AND amount),
    due_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- Only what is open is ever looked for by its time.
DROP INDEX budget_holds_due;
CREATE INDEX budget_holds_due ON budget_holds (expires_at) WHERE state = 'open';
CREATE INDEX budget_carves_due ON budget_carves (due_at) WHERE state = 'open';
