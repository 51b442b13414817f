/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"
#include "common/codec/digest.h"
#include "server/db/versions.h"

struct database;
struct error;
struct transaction;

/*
 * read_reports - what hosts have told of their starts of a version: lists, which are bytes here.
 *
 * A version keeps READ_REPORTS_MAX of them, and of one token READ_REPORTS_TOKEN_MAX: no host, and
 * no token that tells of many hosts, takes the place of all others. A host has one. A list that
 * another host has told already is not kept again, so a fleet that starts alike writes once. Where
 * there is no place any more, the oldest one makes room when it is READ_REPORT_AGE_S old; else what
 * is told is not kept.
 */
#define READ_REPORTS_MAX 8
#define READ_REPORTS_TOKEN_MAX 4
#define READ_REPORT_AGE_S (24 * 3600)
#define READ_REPORT_EARLIER_MAX 100 /* versions that are looked at for one that has some */

struct read_report_put {
    int64_t version_id;
    const char *token_id, *host;
    struct span list;
};

/* *out_kept: it was written. A list that is there already costs a read alone. -ENOENT: the version
 * is gone. */
int read_report_put(struct database *database, const struct read_report_put *put, bool *out_kept,
                    struct error *err);

/* All of a version, the oldest first: blocks of memory, each to memory_free(); out_lists has room
 * for READ_REPORTS_MAX. */
struct read_report_list {
    uint8_t *bytes;
    size_t size;
};
int read_report_get(struct database *database, int64_t version_id,
                    struct read_report_list *out_lists, size_t *out_count, struct error *err);
void read_report_lists_release(struct read_report_list *lists, size_t count);

/* The newest ready version of the same app that is earlier than this one and has a report, among
 * the READ_REPORT_EARLIER_MAX before it. -ENOENT: none. */
int read_report_earlier(struct database *database, int64_t version_id,
                        char out_version[VERSION_NAME_SIZE], struct error *err);

/* In a transaction: the version goes; a copy of it comes, with the same tree. */
int read_report_drop(struct transaction *tx, int64_t version_id, struct error *err);
int read_report_copy(struct transaction *tx, int64_t from_id, int64_t to_id, struct error *err);
