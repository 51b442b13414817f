-- SPDX-License-Identifier: MIT
-- The whole schema of a store. Times are seconds since 1970 UTC, sizes bytes, digests 32 bytes.
-- Names, not ids, where a row has to outlive what it speaks of.

CREATE TABLE store (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    id TEXT NOT NULL CHECK (length(id) = 36),
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE projects (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    retain_count INTEGER CHECK (retain_count >= 0),
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE apps (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    project_id INTEGER NOT NULL REFERENCES projects (id),
    name TEXT NOT NULL,
    retain_count INTEGER CHECK (retain_count >= 0),
    created_at INTEGER NOT NULL,
    UNIQUE (project_id, name)
) STRICT;

-- Spent for ever: also when the version, the app and the project are gone.
CREATE TABLE names (
    project TEXT NOT NULL,
    app TEXT NOT NULL,
    version TEXT NOT NULL,
    content BLOB NOT NULL CHECK (length(content) = 32),
    spent_at INTEGER NOT NULL,
    purged_at INTEGER,
    PRIMARY KEY (project, app, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
    id TEXT PRIMARY KEY CHECK (length(id) = 12),
    hash TEXT NOT NULL,
    name TEXT NOT NULL,
    project TEXT,
    app TEXT,
    permissions INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT,
    expires_at INTEGER,
    revoked_at INTEGER,
    last_used_at INTEGER,
    CHECK (app IS NULL OR project IS NOT NULL)
) STRICT;

-- A row is there before the first byte of its object. A storage key is never used again.
CREATE TABLE blobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
    size INTEGER NOT NULL CHECK (size >= 0),
    verity BLOB CHECK (length(verity) = 32),
    storage_key TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL
        CHECK (state IN ('uploading', 'live', 'condemned', 'missing', 'corrupt')),
    changed_at INTEGER NOT NULL,
    CHECK (state = 'uploading' OR verity IS NOT NULL)
) STRICT;
CREATE UNIQUE INDEX blobs_sha256 ON blobs (sha256) WHERE state <> 'uploading';
CREATE INDEX blobs_condemned ON blobs (changed_at) WHERE state = 'condemned';

CREATE TABLE versions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    app_id INTEGER NOT NULL REFERENCES apps (id),
    name TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('ready', 'trashed', 'purging')),
    content BLOB NOT NULL CHECK (length(content) = 32),
    times BLOB NOT NULL CHECK (length(times) = 32),
    tree BLOB NOT NULL CHECK (length(tree) = 32),
    tree_size INTEGER NOT NULL,
    file_count INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    listing_blob_id INTEGER NOT NULL REFERENCES blobs (id),
    times_blob_id INTEGER NOT NULL REFERENCES blobs (id),
    tree_blob_id INTEGER NOT NULL REFERENCES blobs (id),
    git_commit TEXT,
    git_ref TEXT,
    vcs_url TEXT,
    build_time INTEGER,
    builder TEXT,
    build_url TEXT,
    labels TEXT,
    note TEXT,
    signatures TEXT,
    pushed_by TEXT,
    pinned INTEGER NOT NULL DEFAULT 0 CHECK (pinned IN (0, 1)),
    created_at INTEGER NOT NULL,
    trashed_at INTEGER,
    trashed_by TEXT,
    trash_reason TEXT,
    UNIQUE (app_id, name),
    CHECK (state <> 'trashed' OR trashed_at IS NOT NULL)
) STRICT;
CREATE INDEX versions_newest ON versions (app_id, created_at, id) WHERE state = 'ready';
CREATE INDEX versions_trash ON versions (trashed_at) WHERE state <> 'ready';
CREATE INDEX versions_listing ON versions (listing_blob_id);
CREATE INDEX versions_times ON versions (times_blob_id);
CREATE INDEX versions_tree ON versions (tree_blob_id);

-- The edges: every distinct blob of a version, with its listing, times and tree image.
CREATE TABLE version_blobs (
    version_id INTEGER NOT NULL REFERENCES versions (id),
    blob_id INTEGER NOT NULL REFERENCES blobs (id),
    app_id INTEGER NOT NULL,
    PRIMARY KEY (version_id, blob_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX version_blobs_blob ON version_blobs (blob_id, app_id);

CREATE TABLE pushes (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE CHECK (length(id) = 32),
    app_id INTEGER NOT NULL REFERENCES apps (id),
    token_id TEXT NOT NULL REFERENCES tokens (id),
    version TEXT,
    content BLOB CHECK (length(content) = 32),
    times BLOB CHECK (length(times) = 32),
    base TEXT,
    metadata TEXT,
    listing_blob_id INTEGER REFERENCES blobs (id),
    times_blob_id INTEGER REFERENCES blobs (id),
    tree_blob_id INTEGER REFERENCES blobs (id),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX pushes_end ON pushes (expires_at);
CREATE INDEX pushes_app ON pushes (app_id);
CREATE INDEX pushes_token ON pushes (token_id);
CREATE INDEX pushes_listing ON pushes (listing_blob_id) WHERE listing_blob_id IS NOT NULL;
CREATE INDEX pushes_times ON pushes (times_blob_id) WHERE times_blob_id IS NOT NULL;
CREATE INDEX pushes_tree ON pushes (tree_blob_id) WHERE tree_blob_id IS NOT NULL;

-- The holds. sent: this push proved that it has the bytes.
CREATE TABLE push_blobs (
    push INTEGER NOT NULL REFERENCES pushes (number),
    sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
    size INTEGER NOT NULL,
    blob_id INTEGER NOT NULL REFERENCES blobs (id),
    sent INTEGER NOT NULL CHECK (sent IN (0, 1)),
    received INTEGER NOT NULL DEFAULT 0,
    hash BLOB,
    PRIMARY KEY (push, sha256)
) STRICT, WITHOUT ROWID;
CREATE INDEX push_blobs_blob ON push_blobs (blob_id);

-- Perhaps nothing refers to these any more: the sweep looks.
CREATE TABLE gc_candidates (
    blob_id INTEGER PRIMARY KEY REFERENCES blobs (id) ON DELETE CASCADE,
    since INTEGER NOT NULL
) STRICT;

-- Objects whose row is gone and that have to go, with the merkle object beside them.
CREATE TABLE tombstones (
    storage_key TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    last_error TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX tombstones_order ON tombstones (tries, created_at);

CREATE TABLE channels (
    app_id INTEGER NOT NULL REFERENCES apps (id),
    name TEXT NOT NULL,
    version_id INTEGER NOT NULL REFERENCES versions (id),
    previous_id INTEGER REFERENCES versions (id),
    updated_at INTEGER NOT NULL,
    updated_by TEXT,
    PRIMARY KEY (app_id, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX channels_version ON channels (version_id);
CREATE INDEX channels_previous ON channels (previous_id);

CREATE TABLE promotions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    app_id INTEGER NOT NULL REFERENCES apps (id),
    channel TEXT NOT NULL,
    action TEXT NOT NULL CHECK (action IN ('promote', 'rollback')),
    version TEXT NOT NULL,
    previous TEXT,
    actor TEXT,
    note TEXT,
    at INTEGER NOT NULL
) STRICT;
CREATE INDEX promotions_app ON promotions (app_id, id);

-- A host says: this version is in use here.
CREATE TABLE leases (
    token_id TEXT NOT NULL REFERENCES tokens (id),
    host TEXT NOT NULL,
    place TEXT NOT NULL,
    version_id INTEGER NOT NULL REFERENCES versions (id),
    mode TEXT NOT NULL CHECK (mode IN ('pull', 'mount', 'attach')),
    state TEXT NOT NULL,
    since INTEGER NOT NULL,
    renewed_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (token_id, host, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX leases_version ON leases (version_id);
CREATE INDEX leases_end ON leases (expires_at);

-- The outbox. number: given to committed rows by the one sequencer; readers go by it.
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    number INTEGER UNIQUE,
    type TEXT NOT NULL,
    project TEXT,
    app TEXT,
    version TEXT,
    actor TEXT,
    data TEXT,
    at INTEGER NOT NULL
) STRICT;
CREATE INDEX events_unnumbered ON events (id) WHERE number IS NULL;

CREATE TABLE sequencer (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    last_number INTEGER NOT NULL,
    holder TEXT,
    leased_until INTEGER NOT NULL
) STRICT;
INSERT INTO sequencer (one, last_number, holder, leased_until) VALUES (1, 0, NULL, 0);

CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    actor TEXT,
    token_id TEXT,
    address TEXT,
    request_id TEXT,
    operation TEXT NOT NULL,
    project TEXT,
    app TEXT,
    version TEXT,
    result TEXT,
    data TEXT
) STRICT;
CREATE INDEX audit_at ON audit (at);

-- A keyed hash chain over ranges of audit.id.
CREATE TABLE audit_seals (
    last_id INTEGER PRIMARY KEY,
    mac BLOB NOT NULL CHECK (length(mac) = 32),
    at INTEGER NOT NULL
) STRICT;

CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    updated_by TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE shared_keys (
    name TEXT PRIMARY KEY,
    bytes BLOB NOT NULL CHECK (length(bytes) = 32),
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    params TEXT,
    result TEXT,
    progress INTEGER NOT NULL DEFAULT 0,
    actor TEXT,
    holder TEXT,
    leased_until INTEGER,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX jobs_state ON jobs (state, created_at);
