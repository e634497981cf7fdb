DROP INDEX audit_records_by_jti;
CREATE INDEX audit_records_by_jti ON audit_records (jti);
DROP INDEX audit_records_by_subject_owner;
CREATE INDEX audit_records_by_subject_owner ON audit_records (subject_owner_id, at);
ALTER TABLE budget_captures ADD CONSTRAINT budget_captures_hold_id_fkey FOREIGN KEY (hold_id) REFERENCES budget_holds (id);
