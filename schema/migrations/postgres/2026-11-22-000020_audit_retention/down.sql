DROP TABLE audit_redactions;
DROP TABLE audit_prunings;
