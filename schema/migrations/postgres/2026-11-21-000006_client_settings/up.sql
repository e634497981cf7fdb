-- How a client may authenticate and what its tokens are bound to, beside the method itself.
ALTER TABLE clients ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';
