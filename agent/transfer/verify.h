/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "common/base/span.h"
#include "common/codec/digest.h"
#include "common/model/names.h"

struct directory;
struct error;
struct pattern_list;
struct transfer;

/*
 * verify - whether a pulled directory still holds what was pulled: every file is read.
 *
 * No server is asked: the tree image of the last pull is what is compared with.
 * Files that the version never had are not looked at, nor what `protect` names.
 */
enum verify_difference {
    VERIFY_MISSING, /* not there */
    VERIFY_KIND,    /* a file where a directory was, and so on */
    VERIFY_CONTENT, /* other bytes, or another target of a link */
    VERIFY_MODE,    /* other permissions */
    VERIFY_UNREADABLE,
};

/* "missing", "kind", "content", "mode", "unreadable" */
const char *verify_difference_name(enum verify_difference difference);

typedef void verify_report(void *context, enum verify_difference difference, struct span path);

struct verify_options {
    struct transfer *transfer;
    struct directory *root;
    const struct pattern_list *protect;
    verify_report *report;
    void *context;
};

struct verify_result {
    char project[NAME_TEXT_SIZE], app[NAME_TEXT_SIZE], version[VERSION_TEXT_SIZE];
    struct digest content;
    uint64_t files, bytes; /* read */
    uint64_t differences;
};

/* -ENOENT: nothing was pulled here. -EBADMSG: the record of the pull is damaged. */
int verify_run(const struct verify_options *options, struct verify_result *out, struct error *err);
