DROP TABLE responsibilities;
DROP TABLE approval_requests;
