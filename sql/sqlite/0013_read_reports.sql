-- SPDX-License-Identifier: MIT
-- What starts of a version read, as hosts have told: some reports of each version, each a list of
-- files by their place in its tree (server/service/read_report.h). sha256: of the list.
CREATE TABLE read_reports (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    version_id INTEGER NOT NULL REFERENCES versions (id),
    token_id TEXT NOT NULL REFERENCES tokens (id),
    host TEXT NOT NULL,
    sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
    list BLOB NOT NULL,
    at INTEGER NOT NULL,
    UNIQUE (version_id, token_id, host)
) STRICT;
