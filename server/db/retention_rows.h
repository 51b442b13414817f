/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

#include "server/db/retention.h"
#include "server/db/transaction.h"

/* retention_rows - the selection of retention inside a transaction: what is shown, and what is
 * taken. */
struct retention_judging {
    const struct retention_rules *rules;
    const struct retention_scope *scope;
    int64_t after_app; /* 0: from the first on */
    int64_t app_limit;
};

struct retention_page {
    struct retention_judging judging;
    struct retention_place after;
    enum retention_verdict last_verdict; /* the largest that is wanted */
    bool with_bytes;                     /* unique_bytes is computed; else 0 */
    size_t limit;
    struct retained *items; /* room for them */
    size_t count;
};

/* Beyond the newest N alone, by app and version. */
int retention_page_read(struct transaction *tx, struct retention_page *page, struct error *err);
