/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"

struct directory;
struct error;
struct pattern_list;
struct pulled;
struct transfer;
struct tree;

/*
 * pull_survey - what stands in DEST that the version does not have.
 *
 * Nothing is written and no link is followed. `.kkartifact` and `.kkartifact.yml` at
 * the top are not looked at. What `protect` names is told once, by its uppermost path;
 * only where the version has a directory of that name too, what is in it is told.
 */
enum survey_kind {
    SURVEY_OURS = 1,  /* a pull has put it there */
    SURVEY_FOREIGN,   /* no pull has */
    SURVEY_WAY,       /* a directory of these two, with something protected below it */
    SURVEY_PROTECTED, /* whether the version has it or not */
    SURVEY_MOUNT,     /* besides: the root of another file system */
};

struct pull_survey {
    struct buf found; /* each: a byte (the kind), the path, NUL; a directory before what is in it */
};

struct pull_survey_options {
    struct transfer *transfer;
    struct directory *dest;
    const struct pulled *pulled; /* what is ours */
    const struct tree *tree;     /* the version's */
    const struct pattern_list *protect;
};

void pull_survey_release(struct pull_survey *survey); /* of a zeroed one too */
int pull_survey_make(const struct pull_survey_options *options, struct pull_survey *out,
                     struct error *err);

/* The next path; *at starts as 0. NULL at the end. */
const char *pull_survey_next(const struct pull_survey *survey, size_t *at,
                             enum survey_kind *out_kind);
