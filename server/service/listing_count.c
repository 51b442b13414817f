/* SPDX-License-Identifier: MIT */
#include "server/service/listing_count.h"

#include <errno.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/model/listing.h"

int listing_count(struct span listing, struct listing_count *out, struct error *err)
{
    cleanup_memory struct listing_cursor *cursor = memory_new(sizeof(*cursor));
    struct entry entry;
    uint64_t links = 0;
    int r;

    if (cursor == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = listing_cursor_init(cursor, listing, err);
    while (r == 0 && (r = listing_cursor_next(cursor, &entry, err)) > 0) {
        links += entry.kind == ENTRY_LINK;
        r = 0;
    }
    if (r < 0)
        return r;
    *out = (struct listing_count){ .entries = cursor->order.count,
                                   .files = cursor->order.file_count,
                                   .links = links,
                                   .bytes = cursor->order.bytes };
    return 0;
}
