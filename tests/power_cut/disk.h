/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct journal;

/*
 * disk - what a directory may look like after a power cut, from the journal of what was done there.
 *
 * What a file system is taken to do:
 *   * a call that ended before a sync of its node began is kept by that sync: fsync and fdatasync
 *     keep a file's bytes and size, fsync also its mode; fsync of a directory keeps what was done
 *     to its names, of a rename the directory that it leads to;
 *   * a rename happens or does not, as a whole; so do the others that change a name;
 *   * nothing else: bytes that were not synced may be there, be lost, be torn at blocks of 4096 or
 *     512 bytes, be zeros or somebody else's old bytes where the file had none before; the size may
 *     be there without them. Names may be there without bytes and the other way round, and in any
 *     choice, not only in their order. Syncing a file keeps none of its names.
 */
enum cut_kind {
    CUT_KEEPS_ALL,   /* the program was killed, the machine lived on */
    CUT_LOSES_ALL,   /* what was not synced */
    CUT_LOSES_BYTES, /* names, modes and sizes are there */
    CUT_LOSES_NAMES, /* bytes are there */
    CUT_ORDERED,     /* names up to a moment, as a journaling file system; bytes by chance */
    CUT_ANY,         /* names and bytes by chance */
    CUT_ONE,         /* all is there but the bytes of one of the last files that were written */
    CUT_KINDS
};

struct cut {
    size_t at; /* so many changes had been made */
    enum cut_kind kind;
    uint64_t seed;
};

/* Makes that state in the empty directory `folder`. Ends the program when it cannot. */
void disk_make(const struct journal *journal, const struct cut *cut, const char *folder);
