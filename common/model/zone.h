/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"

struct error;

/*
 * zone - what the clocks of a place show: a time zone of the system's database, as RFC 9636 files.
 *
 * The C library knows one zone for the whole process; this one is a value, for any thread. Local
 * times are seconds since 1970-01-01T00:00:00 as a clock there shows it. Files with leap seconds
 * ("right/...") are refused.
 */
struct zone;

/* An IANA name ("Europe/Berlin"), read from the system; "UTC" needs no file. -EINVAL: no name of a
 * zone, or there is none of that name. -EBADMSG: a file that breaks its format. */
int zone_load(const char *name, struct zone **out_zone, struct error *err);
/* The bytes of a file. */
int zone_parse(struct span bytes, struct zone **out_zone, struct error *err);
struct zone *zone_free(struct zone *zone); /* NULL is fine; returns NULL */

/* Seconds east of UTC at that moment. */
int64_t zone_offset(const struct zone *zone, int64_t time_s);

/* The moments, in order, at which clocks there show that: 1; 2 where it is shown twice; 0 where it
 * is skipped: then out[0] is the first moment behind the gap. */
size_t zone_moments(const struct zone *zone, int64_t local_s, int64_t out[2]);
