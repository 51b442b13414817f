/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/transfer/scan.h"
#include "common/codec/digest.h"
#include "common/model/names.h"

struct change_list;
struct directory;
struct error;
struct pattern_list;
struct record;
struct transfer;

/*
 * push - a directory becomes a version (DESIGN 5).
 *
 * The tree is walked and hashed, its identity is asked for; when the server has it,
 * nothing more is sent. Else listing, times and the missing blobs go, and a commit
 * makes them visible at once. A file or directory that changes meanwhile has the
 * whole begun again, PUSH_ROUNDS times at most; then it is refused by name (exit 9).
 * Consistency across files is the pusher's business. A push that the server has no room for (507)
 * is given up there, so that what it took is free again.
 *
 * A dry run reads from the server alone (push_dry.h).
 */
#define PUSH_ROUNDS 4

struct push_options {
    struct transfer *transfer;
    struct directory *root;
    const struct pattern_list *ignore, *executable;
    enum scan_links links;
    const char *project, *app;
    const char *version;           /* NULL: the first 12 hex digits of the content */
    const struct record *metadata; /* git_commit ... labels */
    struct directory *cache;       /* where the scan cache lives; NULL: none */
    bool full_check;               /* do not believe it */
    bool dry_run;                  /* nothing is sent */
    struct change_list *changes;   /* of a dry run: against the app's latest version; or NULL */
};

struct push_result {
    char version[VERSION_TEXT_SIZE]; /* as the server named it */
    struct digest content;
    bool exists; /* it was there */
    uint64_t files, bytes;
    /* Dry run, the most that would be sent: listing, times, and files that the app's latest version
     * has not. */
    uint64_t would_send_bytes;
};

/* Errors as in api_client.h, scan.h; transfer->exit_code tells local ones. */
int push_run(const struct push_options *options, struct push_result *out, struct error *err);
