/* SPDX-License-Identifier: MIT */
#pragma once

/* exit_code - the program's exit codes (kkartifact-fs(8)), from where a failure came and its
 * code. */
enum exit_place {
    EXIT_OF_WORDS,  /* the command line */
    EXIT_OF_SERVER, /* what the server said, or that it did not */
    EXIT_OF_LOCAL,  /* /dev/fuse, the mount point, the cache */
};

#define EXIT_DONE 0
#define EXIT_OTHER 1
#define EXIT_USAGE 2
#define EXIT_NOT_ALLOWED 4
#define EXIT_NOT_FOUND 5
#define EXIT_NOT_REACHED 7
#define EXIT_INTEGRITY 8
#define EXIT_LOCAL 9
#define EXIT_INTERRUPTED 130

int exit_code_of(enum exit_place place, int code);
