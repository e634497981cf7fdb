DROP TABLE signal_outbox;
DROP TABLE signal_streams;
DROP INDEX clients_by_end;
DROP INDEX resources_not_active;
DROP INDEX clients_not_active;
DROP INDEX owners_not_active;
ALTER TABLE resources DROP COLUMN status_list;
DROP TABLE status_entries;
