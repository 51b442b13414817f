-- SPDX-License-Identifier: MIT
-- Blobs whose bytes came before their digest was known: `new-N` of a push. Until the last part names
-- it, a blob's row has a digest that is none of its bytes; then push_blobs has it, and only the name
-- is kept here.
CREATE TABLE push_new_blobs (
    push INTEGER NOT NULL REFERENCES pushes (number),
    number INTEGER NOT NULL CHECK (number >= 0),
    size INTEGER NOT NULL,
    blob_id INTEGER REFERENCES blobs (id),
    received INTEGER NOT NULL DEFAULT 0,
    hash BLOB,
    sha256 BLOB CHECK (length(sha256) = 32),
    PRIMARY KEY (push, number),
    CHECK ((blob_id IS NULL) <> (sha256 IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX push_new_blobs_blob ON push_new_blobs (blob_id) WHERE blob_id IS NOT NULL;
