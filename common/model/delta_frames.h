/* SPDX-License-Identifier: MIT */
#pragma once

/* The bytes that a delta's reader and writer share: kinds of frames, codings, sizes of fields. */
enum delta_kind { DELTA_END = 0, DELTA_COPY = 1, DELTA_DATA = 2 };
enum delta_coding { DELTA_RAW = 0, DELTA_ZSTD = 1, DELTA_PATCH = 2 };

#define DELTA_COPY_FIELDS 16
#define DELTA_DATA_FIELDS 9
#define DELTA_PREFIX_FIELDS 16
