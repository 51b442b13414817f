/* SPDX-License-Identifier: MIT */
#include "agent/transfer/range_fetch.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/memory.h"
#include "common/client/api_client.h"

#define PARTS 4                      /* requests at a time */
#define GAP_MAX 1024                 /* what a request's own headers take */
#define PART_MAX ((uint64_t)1 << 20) /* no more ranges are added to one that has this */
#define BODY_MAX ((uint64_t)64 << 20)

/* Ranges [first, last) in one request. */
struct range_part {
    struct range_fetch *fetch;
    struct api_call *call; /* NULL: idle */
    size_t first, last;
};

struct range_fetch {
    struct range_fetch_options options;
    char *path;
    struct range_fetch_range *ranges;
    size_t next; /* the first range that no request has */
    struct range_part parts[PARTS];
    size_t in_flight;
    bool is_over; /* no callback any more */
};

static struct range_fetch *fetch_free(struct range_fetch *fetch)
{
    memory_free(fetch->path);
    memory_free(fetch->ranges);
    return memory_free(fetch);
}

struct range_fetch *range_fetch_cancel(struct range_fetch *fetch)
{
    if (fetch == NULL)
        return NULL;
    fetch->is_over = true;
    for (size_t i = 0; i < PARTS; i++)
        if (fetch->parts[i].call != NULL)
            api_call_cancel(fetch->parts[i].call);
    return fetch_free(fetch);
}

static void end(struct range_fetch *fetch, int r, const struct error *err)
{
    const struct range_fetch_options options = fetch->options;

    range_fetch_cancel(fetch);
    options.done(options.context, r, err);
}

static uint64_t end_of(const struct range_fetch_range *range)
{
    return range->offset + range->size;
}

static int give_all(const struct range_part *part, struct span body, struct error *err)
{
    const struct range_fetch *fetch = part->fetch;
    uint64_t begin = fetch->ranges[part->first].offset;
    int r = 0;

    if (body.size != end_of(&fetch->ranges[part->last - 1]) - begin)
        return error_set(err, -EBADMSG, "the server gave another range");
    for (size_t i = part->first; r == 0 && i < part->last; i++) {
        const struct range_fetch_range *range = &fetch->ranges[i];

        r = fetch->options.give(fetch->options.context, range->offset,
                                span_slice(body, (size_t)(range->offset - begin),
                                           (size_t)range->size),
                                err);
    }
    return r;
}

static int start_part(struct range_part *part, struct error *err);

static void on_done(void *context, const struct api_answer *answer)
{
    struct range_part *part = context;
    struct range_fetch *fetch = part->fetch;
    struct error err = answer->err;
    int r = answer->code;

    part->call = NULL;
    if (fetch->is_over)
        return;
    fetch->in_flight--;
    if (r == 0 && answer->status != 206)
        r = error_set(&err, -EBADMSG, "the server gave no range");
    if (r == 0)
        r = give_all(part, answer->body, &err);
    if (r == 0 && fetch->next < fetch->options.count)
        r = start_part(part, &err);
    if (r < 0 || fetch->in_flight == 0)
        end(fetch, r, &err);
}

static int start_part(struct range_part *part, struct error *err)
{
    struct range_fetch *fetch = part->fetch;
    cleanup(buf_release) struct buf range = buf_init(128);
    struct http_header header = { "Range", NULL };
    struct api_call_spec spec = { .method = HTTP_GET,
                                  .path = fetch->path,
                                  .headers = &header,
                                  .header_count = 1,
                                  .body_maximum = BODY_MAX,
                                  .done = on_done,
                                  .context = part };
    uint64_t begin = fetch->ranges[fetch->next].offset;
    int r;

    part->first = fetch->next++;
    while (fetch->next < fetch->options.count &&
           end_of(&fetch->ranges[fetch->next - 1]) - begin < PART_MAX &&
           fetch->ranges[fetch->next].offset - end_of(&fetch->ranges[fetch->next - 1]) <= GAP_MAX)
        fetch->next++;
    part->last = fetch->next;
    buf_format(&range, "bytes=%llu-%llu", (unsigned long long)begin,
               (unsigned long long)end_of(&fetch->ranges[part->last - 1]) - 1);
    header.value = buf_text(&range);
    r = buf_check(&range, err);
    if (r == 0)
        r = api_call_start(fetch->options.client, &spec, &part->call, err);
    fetch->in_flight += r == 0;
    return r;
}

int range_fetch_start(const struct range_fetch_options *options, struct range_fetch **out_fetch,
                      struct error *err)
{
    struct range_fetch *fetch = memory_new(sizeof(*fetch));
    int r = 0;

    if (fetch == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    fetch->options = *options;
    fetch->path = memory_text(options->path);
    fetch->ranges = memory_array(options->count, sizeof(*fetch->ranges));
    if (fetch->path == NULL || fetch->ranges == NULL)
        r = error_set(err, -ENOMEM, "out of memory");
    else
        memcpy(fetch->ranges, options->ranges, options->count * sizeof(*fetch->ranges));
    for (size_t i = 0; r == 0 && i < PARTS && fetch->next < options->count; i++) {
        fetch->parts[i].fetch = fetch;
        r = start_part(&fetch->parts[i], err);
    }
    if (r < 0) {
        range_fetch_cancel(fetch);
        return r;
    }
    *out_fetch = fetch;
    return 0;
}
