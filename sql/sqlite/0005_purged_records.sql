-- SPDX-License-Identifier: MIT
-- Versions that were purged and whose record in the store does not say so yet. Written with the
-- purge, gone when the store has it: a database made again from the store must not bring them back.
CREATE TABLE purged_records (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    project TEXT NOT NULL,
    app TEXT NOT NULL,
    version TEXT NOT NULL,
    content BLOB NOT NULL CHECK (length(content) = 32),
    created_at INTEGER NOT NULL,
    purged_at INTEGER NOT NULL
) STRICT;
