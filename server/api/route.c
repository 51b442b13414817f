/* SPDX-License-Identifier: MIT */
#include "server/api/route.h"

#include <errno.h>
#include <string.h>

#include "server/http/url.h"

static bool is_parameter(struct span part)
{
    return part.size > 2 && part.bytes[0] == '{' && part.bytes[part.size - 1] == '}';
}

static bool is_rest(struct span part)
{
    return is_parameter(part) && part.size > 5 &&
           memcmp(part.bytes + part.size - 4, "...}", 4) == 0;
}

static void parameter_add(struct route_match *match, struct span part, size_t first, size_t count)
{
    const size_t marks = is_rest(part) ? 5 : 2;
    struct route_parameter *parameter = &match->parameters[match->parameter_count++];

    *parameter =
        (struct route_parameter){ (const char *)part.bytes + 1, part.size - marks, first, count };
}

static bool path_fits(const char *pattern, const struct url *url, struct route_match *out)
{
    struct span rest = span_text(pattern + 1), part;
    size_t at = 0;

    out->parameter_count = 0;
    while (span_cut(&rest, '/', &part)) {
        if (at == url->segment_count)
            return false;
        if (is_rest(part)) {
            parameter_add(out, part, at, url->segment_count - at);
            return true;
        }
        if (is_parameter(part))
            parameter_add(out, part, at, 1);
        else if (!span_equal(part, url->segments[at]))
            return false;
        at++;
    }
    return at == url->segment_count;
}

int route_find(const struct url *url, enum http_method method, struct route_match *out,
               unsigned *out_allowed)
{
    unsigned allowed = 0;
    size_t get = SIZE_MAX;

    for (size_t i = 0; i < route_count; i++) {
        struct route_match match = { .index = i };

        if (!path_fits(routes[i].pattern, url, &match))
            continue;
        if (routes[i].method == method) {
            *out = match;
            return 0;
        }
        if (routes[i].method == HTTP_GET && get == SIZE_MAX)
            get = i;
        allowed |= 1u << routes[i].method;
    }
    if (method == HTTP_HEAD && get != SIZE_MAX) {
        out->index = get;
        path_fits(routes[get].pattern, url, out);
        return 0;
    }
    if (allowed == 0)
        return -ENOENT;
    if (get != SIZE_MAX)
        allowed |= 1u << HTTP_HEAD;
    *out_allowed = allowed;
    return -ENOTSUP;
}

const char *permit_name(enum permit permit)
{
    static const char *const names[] = { "open",      "metrics", "see",  "see-push",
                                         "see-admin", "pull",    "push", "promote",
                                         "admin" };

    return names[permit];
}
