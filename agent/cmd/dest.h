/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

struct error;

/*
 * dest - the directories on the way to DEST that this run has made, so that a pull which came to
 * nothing leaves none of them.
 */
struct dest {
    char *path;  /* NULL: nothing was made */
    size_t kept; /* bytes of it that name what was there before; 0: the directory we are in */
};

/* Makes what is missing of `path`. */
int dest_make(const char *path, struct dest *out, struct error *err);
/* Removes what was made as far as it is empty. */
void dest_unmake(const struct dest *dest);
void dest_release(struct dest *dest); /* of a zeroed one too */
