-- What names no token and no second owner is looked for by neither: no index entries for it.
DROP INDEX audit_records_by_subject_owner;
CREATE INDEX audit_records_by_subject_owner ON audit_records (subject_owner_id, at) WHERE subject_owner_id IS NOT NULL;
DROP INDEX audit_records_by_jti;
CREATE INDEX audit_records_by_jti ON audit_records (jti) WHERE jti IS NOT NULL;
