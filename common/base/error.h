/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * error - what went wrong, in words, for the person who has to act on it.
 *
 * A function that can fail returns 0 (or a count) or a negative errno and takes
 * a `struct error *err` as its last parameter. On failure it has filled *err, on
 * success it has not touched it. err may be NULL: then only the code is told.
 *
 * The text lives inside the struct, so reporting never allocates, needs no
 * release and works when memory is out. A text that is too long is cut.
 *
 * The codes of this project, and what each means wherever it appears (the HTTP
 * status and the exit codes are derived from them in one place each):
 *
 *   -EINVAL     the caller's or user's input breaks a rule
 *   -ENOENT     no such thing
 *   -ESTALE     it was there and is gone for ever (purged)
 *   -EEXIST     a name is taken by something else
 *   -EACCES     the caller is known and may not
 *   -EPERM      the caller is not known (missing, wrong or ended credentials)
 *   -EBADMSG    bytes do not match their digest, or break their format
 *   -EBUSY      held by someone: try later, nothing changed
 *   -EINPROGRESS  what it belongs to is being deleted; nothing changed
 *   -EAGAIN     the other side is away for now; the same call may succeed later
 *   -ETIMEDOUT  a deadline passed
 *   -ENETDOWN   the network would be needed, and is not to be used (offline)
 *   -EPROTO     the other side does not prove to be who it is taken for
 *   -EFBIG      larger than a limit
 *   -ENOSPC     disk or quota full
 *   -ENOMEM     out of memory
 *   -EIO        a device or a connection failed in the middle
 *   -EROFS      read-only
 *   -ECANCELED  interrupted by its owner
 *   -ENOTSUP    this system or build cannot
 */

#include <errno.h>

#ifndef ESTALE
#define ESTALE 116 /* Windows has none; it never leaves the program */
#endif

#define ERROR_TEXT_SIZE 256

struct error {
    int code;                   /* negative errno; 0 = nothing reported */
    char text[ERROR_TEXT_SIZE]; /* one line, no final period */
};

/* Reports `code` with a text, and returns it:
 *     return error_set(err, -ENOENT, "no artifact \"%s\"", name);            */
int error_set(struct error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Reports a failed system call: code = -saved_errno, text = "what: <system's words>". */
int error_system(struct error *err, int saved_errno, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "context: " before the text a lower floor has set; returns `code`. */
int error_prefix(struct error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
