-- SPDX-License-Identifier: MIT
-- Mostly empty: whether anything is broken is asked at each push of what is there already.
CREATE INDEX blobs_broken ON blobs (id) WHERE state IN ('missing', 'corrupt');
