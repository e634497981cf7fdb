CREATE INDEX budget_holds_by_line ON budget_holds (line_id, id);
ALTER TABLE budget_holds ADD CONSTRAINT budget_holds_line_id_fkey FOREIGN KEY (line_id) REFERENCES budget_lines (id);
