-- SPDX-License-Identifier: MIT
-- Long work: asked for, taken by one server at a time, kept as history. Of a lane one job runs at a
-- time; who runs it renews the lease, and a job whose lease is over is taken up by another.
DROP TABLE jobs;
CREATE TABLE jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE CHECK (length(id) = 32),
    kind TEXT NOT NULL,
    lane TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    project TEXT,
    app TEXT,
    params TEXT,
    result TEXT,
    problem TEXT,
    done INTEGER NOT NULL DEFAULT 0,
    total INTEGER NOT NULL DEFAULT 0,
    cancelling INTEGER NOT NULL DEFAULT 0 CHECK (cancelling IN (0, 1)),
    actor TEXT,
    holder TEXT,
    leased_until INTEGER,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER,
    CHECK ((state = 'running') = (leased_until IS NOT NULL))
) STRICT;
CREATE INDEX jobs_open ON jobs (lane, number) WHERE state IN ('queued', 'running');
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL;
