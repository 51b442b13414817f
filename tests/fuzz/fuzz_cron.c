/* SPDX-License-Identifier: MIT */
/* Schedules: what is taken comes, is later, and is on a minute of it. */
#include "common/base/clock.h"
#include "common/model/cron.h"
#include "common/model/zone.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t time_s = 1790000000, next_s;
    struct zone *zone;
    struct cron cron;

    if (cron_parse(span_of(data, size), &cron, NULL) < 0)
        return 0;
    FUZZ_CHECK(size <= CRON_TEXT_MAX && cron.minutes != 0 && cron.hours != 0 && cron.months != 0);
    FUZZ_CHECK(zone_load("UTC", &zone, NULL) == 0);
    for (int i = 0; i < 4; i++) {
        struct clock_date date;

        FUZZ_CHECK(cron_next(&cron, zone, time_s, &next_s, NULL) == 0);
        date = clock_date_of(next_s);
        FUZZ_CHECK(next_s > time_s && date.second == 0);
        FUZZ_CHECK((cron.minutes >> date.minute & 1) != 0 && (cron.hours >> date.hour & 1) != 0);
        time_s = next_s;
    }
    zone_free(zone);
    return 0;
}
