-- SPDX-License-Identifier: MIT
-- The trash of one app by the time of its trashing, and the history of one channel.
CREATE INDEX versions_trash_app ON versions (app_id, trashed_at, id) WHERE state = 'trashed';
CREATE INDEX promotions_channel ON promotions (app_id, channel, id);
