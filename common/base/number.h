/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "common/base/span.h"

struct error;

/*
 * number - integers in text, read strictly: the whole text, nothing before or
 * behind, no sign where none can be, no leading zeros unless said, no overflow.
 * All give -EINVAL (and -EFBIG when above `max`) and leave the output alone.
 */

/* Decimal without leading zeros, as the formats write it. */
int number_parse(struct span text, uint64_t max, uint64_t *out, struct error *err);

/* Decimal with an optional '-'; |value| <= max. No "-0", no leading zeros. */
int number_parse_signed(struct span text, int64_t max, int64_t *out, struct error *err);

/* "4096", "64K", "8MiB", "10G", "2T": bytes; K, KB and KiB are all 1024. */
int number_parse_size(struct span text, uint64_t max, uint64_t *out_bytes, struct error *err);

/* "30" (seconds), "500ms", "30s", "5m", "12h", "90d", "2w": milliseconds. */
int number_parse_duration(struct span text, uint64_t max_ms, uint64_t *out_ms, struct error *err);

/* "1.5 GiB", "812 B": for people. */
#define NUMBER_SIZE_TEXT 16
void number_format_size(uint64_t bytes, char out[NUMBER_SIZE_TEXT]);
