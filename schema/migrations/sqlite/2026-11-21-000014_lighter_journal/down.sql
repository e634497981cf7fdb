DROP INDEX audit_records_by_jti;
CREATE INDEX audit_records_by_jti ON audit_records (jti);
DROP INDEX audit_records_by_subject_owner;
CREATE INDEX audit_records_by_subject_owner ON audit_records (subject_owner_id, at);
