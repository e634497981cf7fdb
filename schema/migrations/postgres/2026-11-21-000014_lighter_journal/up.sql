-- What names no token and no second owner is looked for by neither: no index entries for it.
DROP INDEX audit_records_by_subject_owner;
CREATE INDEX audit_records_by_subject_owner ON audit_records (subject_owner_id, at) WHERE subject_owner_id IS NOT NULL;
DROP INDEX audit_records_by_jti;
CREATE INDEX audit_records_by_jti ON audit_records (jti) WHERE jti IS NOT NULL;
-- A capture is made with its hold locked, in the transaction that changes that hold, and holds
-- are never deleted: the key looked each of them up once more, and locked it. SQLite, where that
-- costs next to nothing, keeps it.
ALTER TABLE budget_captures DROP CONSTRAINT budget_captures_hold_id_fkey;
