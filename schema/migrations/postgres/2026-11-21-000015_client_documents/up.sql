-- Which metadata documents may be clients of an owner, and what those clients get. `url` is the
-- one document's, or, where `covers` says so, what the URLs of all of them begin with.
CREATE TABLE client_documents (
    id TEXT NOT NULL PRIMARY KEY,
    owner_id TEXT NOT NULL REFERENCES owners (id),
    name TEXT NOT NULL,
    url TEXT NOT NULL,
    covers TEXT NOT NULL CHECK (covers IN ('one', 'prefix')),
    template TEXT NOT NULL,
    max_clients BIGINT NOT NULL CHECK (max_clients > 0),
    state TEXT NOT NULL CHECK (state IN ('active', 'suspended', 'revoked')),
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX client_documents_by_owner ON client_documents (owner_id, id);
-- Only one of these is looked for at a time; what is revoked may be declared anew.
CREATE UNIQUE INDEX client_documents_by_url ON client_documents (url) WHERE state <> 'revoked';

-- The clients that came of a document: what it is known by, and what was last read there.
CREATE TABLE document_clients (
    client_id TEXT NOT NULL PRIMARY KEY REFERENCES clients (id),
    document_id TEXT NOT NULL REFERENCES client_documents (id),
    url TEXT NOT NULL,
    digest TEXT NOT NULL,
    read_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX document_clients_by_document ON document_clients (document_id, client_id);
