DROP INDEX clients_by_spiffe_id;
