/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

struct error;

/*
 * findings - what an examination has found, one after the other.
 *
 * Texts are UTF-8 for one line: what is none, and control characters, become '?'. Memory that runs
 * out sticks, and is told at the end (findings_check). One thread.
 */
enum finding_level {
    FINDING_OK,
    FINDING_NOTE,    /* good to know; nothing needs to be done */
    FINDING_WARNING, /* it goes on, but not as it should */
    FINDING_PROBLEM, /* it does not work */
};

struct finding {
    enum finding_level level;
    const char *name; /* of the check; static */
    char *what;
    char *advice; /* what to do; NULL: nothing */
};

struct findings {
    struct finding *items;
    size_t count, capacity;
    int failure;
};

void findings_release(struct findings *findings); /* zeroed memory is an empty one */

/* advice may be NULL; it is copied. */
void findings_add(struct findings *findings, enum finding_level level, const char *name,
                  const char *advice, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

int findings_check(const struct findings *findings, struct error *err); /* 0 or -ENOMEM */
enum finding_level findings_worst(const struct findings *findings);
const char *finding_level_name(enum finding_level level); /* "ok", "note", "warning", "problem" */
