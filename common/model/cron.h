/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/span.h"

struct error;
struct zone;

/*
 * cron - when something is due, in the five fields of crontab(5): minute, hour, day of the month,
 * month, day of the week.
 *
 * A field is *, a number, a range a-b, a range or * with a step (a-b/n), or several with commas
 * between. Months and days have English names of three letters; Sunday is 0 and
 * 7. As cron(8) does: where both days are told, without a * in front, one of them is enough.
 *
 * When clocks change: of a schedule with told hours, a time that is skipped is due at the first
 * moment behind the gap, and one that is shown twice is due the first time only. A schedule of
 * every hour goes on by the minutes that pass.
 */
#define CRON_TEXT_MAX 127

struct cron {
    uint64_t minutes; /* bits */
    uint32_t hours, days, months, weekdays;
    bool any_day, any_weekday; /* begin with a * */
    bool every_hour;
};

/* -EINVAL: breaks the form, or never comes (30 February). */
int cron_parse(struct span text, struct cron *out, struct error *err);

/* The first moment later than `after_s`. -ENOENT: none within nine years. */
int cron_next(const struct cron *cron, const struct zone *zone, int64_t after_s, int64_t *out_s,
              struct error *err);
