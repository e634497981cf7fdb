DROP TABLE proved_secrets;
DROP TABLE rate_cells;
