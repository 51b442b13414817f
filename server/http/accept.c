/* SPDX-License-Identifier: MIT */
#include "server/http/accept.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "common/base/span.h"

/* "q=0", "q=0.0", "q=0.000": anything else is a weight above nothing. */
static bool weight_is_zero(struct span parameters)
{
    struct span one;

    while (span_cut(&parameters, ';', &one)) {
        one = span_trim(one);
        if (one.size < 3 || (one.bytes[0] | 0x20) != 'q' || one.bytes[1] != '=')
            continue;
        for (size_t i = 2; i < one.size; i++) {
            if (one.bytes[i] != '0' && one.bytes[i] != '.')
                return false;
        }
        return true;
    }
    return false;
}

bool accept_coding(const char *header, const char *coding)
{
    struct span rest, item;
    bool any = false;

    if (header == NULL)
        return false;
    rest = span_text(header);
    while (span_cut(&rest, ',', &item)) {
        struct span name;
        bool taken;

        if (!span_cut(&item, ';', &name))
            continue; /* nothing between two commas */
        name = span_trim(name);
        taken = !weight_is_zero(item);
        if (name.size == strlen(coding) &&
            strncasecmp((const char *)name.bytes, coding, name.size) == 0)
            return taken;
        if (span_equal_text(name, "*"))
            any = taken;
    }
    return any;
}
