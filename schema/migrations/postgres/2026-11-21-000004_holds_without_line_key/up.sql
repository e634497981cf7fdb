-- A hold is made with its line locked, in the transaction that writes its use of the line: the
-- key of that use keeps the line. Nobody looks for holds by their line.
ALTER TABLE budget_holds DROP CONSTRAINT budget_holds_line_id_fkey;
DROP INDEX budget_holds_by_line;
