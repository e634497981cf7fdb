DROP INDEX budget_holds_due;
CREATE INDEX budget_holds_due ON budget_holds (state, expires_at);
DROP TABLE budget_carves;
ALTER TABLE budget_captures DROP COLUMN overages;
DROP INDEX budget_lines_by_expiry;
ALTER TABLE budget_lines DROP COLUMN audience;
ALTER TABLE budget_lines DROP COLUMN increase_until;
ALTER TABLE budget_lines DROP COLUMN increase;
