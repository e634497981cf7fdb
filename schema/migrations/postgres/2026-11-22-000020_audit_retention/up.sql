-- Up to which record each chain has been pruned, signed: what remains is proved from there.
CREATE TABLE audit_prunings (
    writer TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    n BIGINT NOT NULL CHECK (n > 0),
    hash BYTEA NOT NULL,
    at BIGINT NOT NULL,
    jws TEXT NOT NULL
);

-- Which records are not as they were hashed, because something was taken out of them: signed.
CREATE TABLE audit_redactions (
    writer TEXT COLLATE "C" NOT NULL,
    n BIGINT NOT NULL CHECK (n > 0),
    redacted_hash BYTEA NOT NULL,
    at BIGINT NOT NULL,
    jws TEXT NOT NULL,
    PRIMARY KEY (writer, n)
);
