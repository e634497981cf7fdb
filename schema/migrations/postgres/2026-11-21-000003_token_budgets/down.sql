DROP TABLE budget_carves;
ALTER TABLE budget_captures DROP COLUMN overages;
DROP INDEX budget_lines_by_expiry;
ALTER TABLE budget_lines DROP COLUMN audience;
ALTER TABLE budget_lines DROP COLUMN increase_until;
ALTER TABLE budget_lines DROP COLUMN increase;
