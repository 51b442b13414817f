/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "common/base/span.h"

struct error;

/*
 * clock - what time it is, and how it is written.
 *
 * Times of day are whole seconds since 1970-01-01T00:00:00Z (UTC, no leap
 * seconds); written `YYYY-MM-DDThh:mm:ssZ`, years 0000 to 9999. Intervals are
 * measured with the monotonic clock. Any thread.
 */
/* What a calendar and a clock show, in the proleptic Gregorian calendar. */
struct clock_date {
    int year, month, day; /* from 1 */
    int hour, minute, second;
    int weekday; /* 0: Sunday */
};

/* Of seconds since 1970-01-01T00:00:00, of whatever zone they are; within a million years. */
struct clock_date clock_date_of(int64_t time_s);
/* The other way; the weekday is not looked at. */
int64_t clock_date_time(const struct clock_date *date);
int clock_days_of_month(int year, int month);

#define CLOCK_TEXT_SIZE 21 /* with the NUL */

int64_t clock_now_s(void);
uint64_t clock_monotonic_ms(void);
uint64_t clock_monotonic_ns(void);

/* -EINVAL outside the years 0000 to 9999. */
int clock_format(int64_t time_s, char out[CLOCK_TEXT_SIZE], struct error *err);

/* Takes `YYYY-MM-DDThh:mm:ss`, then nothing (taken as UTC), `Z` or `+hh:mm`/`-hh:mm`; a fraction of
 * a second is dropped; a space stands for the T. -EINVAL otherwise (also for February 30). */
int clock_parse(struct span text, int64_t *out_time_s, struct error *err);
