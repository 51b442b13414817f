/* SPDX-License-Identifier: MIT */
#pragma once

struct directory;
struct error;

/*
 * scratch - a directory of our own for a while, in the system's place for such ($TMPDIR,
 * %TEMP%, /tmp); nobody else may enter it.
 */
struct scratch {
    struct directory *at; /* NULL: none */
    char *name;
};

int scratch_make(struct scratch *out, struct error *err);
/* With all that is in it. What is mapped goes on where the system lets it: 0 then, or the
 * system's error and it is still there for scratch_release(). */
int scratch_remove(struct scratch *scratch);
void scratch_release(struct scratch *scratch); /* of a zeroed one too */
