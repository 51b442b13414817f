/* SPDX-License-Identifier: MIT */
#include "common/net/retry.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/number.h"

#define RETRY_AFTER_MAX_S 86400u

struct retry_policy retry_policy_default(void)
{
    return (struct retry_policy){
        .tries = 5, .base_ms = 200, .max_ms = 10000, .retry_after_max_ms = 60000
    };
}

enum retry_verdict retry_judge(int result, int status)
{
    if (result == -EAGAIN || result == -ETIMEDOUT || result == -EIO)
        return RETRY_NEXT;
    if (result != 0)
        return RETRY_NEVER;
    switch (status) {
    case 408:
    case 425:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
        return RETRY_NEXT;
    default:
        return RETRY_DONE;
    }
}

bool retry_wait(const struct retry_policy *policy, uint32_t next_try, uint64_t retry_after_ms,
                uint32_t random, uint64_t *out_wait_ms)
{
    uint64_t wait = policy->base_ms;

    if (next_try > policy->tries || retry_after_ms > policy->retry_after_max_ms)
        return false;
    for (uint32_t i = 2; i < next_try && wait < policy->max_ms; i++)
        wait *= 2;
    if (wait > policy->max_ms)
        wait = policy->max_ms;
    wait = wait / 2 + (wait - wait / 2) * (uint64_t)random / UINT32_MAX;
    *out_wait_ms = wait > retry_after_ms ? wait : retry_after_ms;
    return true;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" into the form that clock_parse takes. */
static bool date_text(struct span value, char out[CLOCK_TEXT_SIZE])
{
    static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    const char *text = (const char *)value.bytes;

    if (value.size != 29 || memcmp(text + 25, " GMT", 4) != 0)
        return false;
    for (int month = 0; month < 12; month++) {
        if (memcmp(text + 8, months[month], 3) != 0)
            continue;
        memcpy(out, text + 12, 4);
        out[4] = '-';
        out[5] = (char)('0' + (month + 1) / 10);
        out[6] = (char)('0' + (month + 1) % 10);
        out[7] = '-';
        memcpy(out + 8, text + 5, 2);
        out[10] = 'T';
        memcpy(out + 11, text + 17, 8);
        out[19] = 'Z';
        out[20] = '\0';
        return true;
    }
    return false;
}

uint64_t retry_after_parse(const char *value, int64_t now_s)
{
    struct span text = span_trim(span_text(value));
    char date[CLOCK_TEXT_SIZE];
    uint64_t seconds;
    int64_t time_s;

    if (text.size > 0 && text.bytes[0] >= '0' && text.bytes[0] <= '9') {
        if (number_parse(text, RETRY_AFTER_MAX_S, &seconds, NULL) == 0)
            return seconds * 1000;
        return number_parse(text, UINT64_MAX, &seconds, NULL) == 0 ? RETRY_AFTER_MAX_S * 1000ull
                                                                   : 0;
    }
    if (!date_text(text, date) || clock_parse(span_text(date), &time_s, NULL) < 0 ||
        time_s <= now_s)
        return 0;
    seconds = (uint64_t)(time_s - now_s);
    return (seconds > RETRY_AFTER_MAX_S ? RETRY_AFTER_MAX_S : seconds) * 1000;
}
