-- SPDX-License-Identifier: MIT
-- Retention asks when it was last done for everything, among the jobs of a month.
CREATE INDEX jobs_done ON jobs (kind, started_at) WHERE state = 'done' AND project IS NULL;
