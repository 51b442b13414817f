-- SPDX-License-Identifier: MIT
-- Who has pulled what, once for each host: by name, since it outlives the version.
CREATE TABLE pulls (
    project TEXT NOT NULL,
    app TEXT NOT NULL,
    version TEXT NOT NULL,
    host TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (project, app, version, host)
) STRICT, WITHOUT ROWID;
-- The order in which leases are listed, and how one is found by its place.
CREATE INDEX leases_place ON leases (host, place, token_id);
