/* SPDX-License-Identifier: MIT */
/* Time zones: what is taken gives offsets of a day at most, and moments in order. */
#include "common/model/zone.h"
#include "tests/fuzz/fuzz.h"

#define OFFSET_MAX_S (26 * 3600)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct zone *zone;

    if (zone_parse(span_of(data, size), &zone, NULL) < 0)
        return 0;
    for (int64_t time_s = -4000000000; time_s < 8000000000; time_s += 86400 * 97 + 12345) {
        const int64_t offset = zone_offset(zone, time_s);
        int64_t out[2];

        FUZZ_CHECK(offset >= -OFFSET_MAX_S && offset <= OFFSET_MAX_S);
        if (zone_moments(zone, time_s, out) == 2)
            FUZZ_CHECK(out[0] < out[1]);
    }
    zone_free(zone);
    return 0;
}
