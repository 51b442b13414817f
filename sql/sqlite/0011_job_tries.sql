-- SPDX-License-Identifier: MIT
-- How often a job was begun without coming to an end: one that ends its server each time is given
-- up some day.
ALTER TABLE jobs ADD COLUMN begun INTEGER NOT NULL DEFAULT 0;
