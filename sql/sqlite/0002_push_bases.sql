-- Blobs that a push rebuilds others from: held as long as it lives, no part of what it commits.
CREATE TABLE push_bases (
    push INTEGER NOT NULL REFERENCES pushes (number),
    blob_id INTEGER NOT NULL REFERENCES blobs (id),
    PRIMARY KEY (push, blob_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX push_bases_blob ON push_bases (blob_id);
