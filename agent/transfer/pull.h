/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/codec/digest.h"
#include "common/model/names.h"

struct beside;
struct change_list;
struct directory;
struct error;
struct pattern_list;
struct transfer;

/*
 * pull - a directory becomes equal to a version, moving only what differs.
 *
 * What is there is judged by the record of the last pull (pulled.h), or read
 * (full_check). Everything is staged and verified in DEST/.kkartifact before the
 * first rename. Files that no pull has put there stay; one in the way of an entry,
 * with other content, is refused by name (exit 9). With delete_extra they go, too, but
 * for what `protect` names and the agent's own. A version that the server once
 * told with other content is refused (-EBADMSG, exit 8).
 */
struct pull_change {
    const char *project, *app, *version;
    const char *previous; /* that DEST held; "" when it held none */
    struct digest content;
};

/* Called when all is fetched and verified, before the first change of DEST; when there is nothing
 * to do, and in a dry run, it is not. A failure ends the pull with it, nothing changed. function
 * NULL: nobody is asked. */
struct pull_hook {
    int (*function)(void *context, const struct pull_change *change, struct error *err);
    void *context;
};

struct pull_options {
    struct transfer *transfer;
    struct directory *dest;
    const struct beside *beside; /* of dest; a zeroed one where there is no such place */
    const char *project, *app;
    const char *version;                /* a name, "latest" or "@channel" */
    const struct pattern_list *protect; /* never replaced, never removed */
    bool full_check;
    bool delete_extra;
    bool exchange; /* DEST becomes the version by one exchange (pull_exchange.h) */
    bool dry_run;  /* nothing is written to DEST */
    struct pull_hook before;
    struct change_list *changes; /* gets what is done, unless it is NULL; the caller ends it */
};

struct pull_result {
    char version[VERSION_TEXT_SIZE]; /* what it resolved to */
    struct digest content;
    char previous[VERSION_TEXT_SIZE]; /* that DEST held; "" when it held none */
    bool current;                     /* nothing was to do */
    uint64_t files, bytes;            /* of the version */
    uint64_t written_files;           /* in a dry run: that would be */
    uint64_t deleted_files;
};

int pull_run(const struct pull_options *options, struct pull_result *out, struct error *err);
