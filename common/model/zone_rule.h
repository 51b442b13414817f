/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/span.h"

/* zone_rule - the rule for all years to come at the end of a zone's file: TZ of POSIX, with hours
 * up to 167 ("CET-1CEST,M3.5.0,M10.5.0/3"). */
struct zone_day {
    enum { ZONE_DAY_JULIAN, ZONE_DAY_OF_YEAR, ZONE_DAY_OF_WEEK } kind;
    int month, week, day; /* the week-th weekday of a month, 5: the last; else `day` of the year */
    int64_t time_s;       /* after midnight, may be negative */
};

struct zone_rule {
    int64_t standard_s, summer_s; /* east of UTC */
    bool has_summer;
    struct zone_day start, end; /* of summer time */
};

/* False: it breaks the form. */
bool zone_rule_parse(struct span text, struct zone_rule *out);
int64_t zone_rule_offset(const struct zone_rule *rule, int64_t time_s);
