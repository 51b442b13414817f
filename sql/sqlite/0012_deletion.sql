-- SPDX-License-Identifier: MIT
-- A project or app that was deleted keeps its row: its history stays, and what lies in the trash
-- may come back. `deleting` is the number of the job that takes it away, and says so as long as
-- that job waits or runs.
ALTER TABLE projects ADD COLUMN deleted_at INTEGER;
ALTER TABLE projects ADD COLUMN deleting INTEGER;
ALTER TABLE apps ADD COLUMN deleted_at INTEGER;
ALTER TABLE apps ADD COLUMN deleting INTEGER;
-- The lists pass over none that is gone.
CREATE INDEX projects_listed ON projects (name) WHERE deleted_at IS NULL;
CREATE INDEX apps_listed ON apps (project_id, name) WHERE deleted_at IS NULL;
