/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/codec/digest.h"

/*
 * refusal - why the rules say no, for a program.
 *
 * The services return a negative errno and words like everything else. Where a
 * caller must tell apart what shares an errno, or needs a number to go on with
 * (the offset expected, how many blobs are missing), they also fill *why. One
 * code here is one `code` of the HTTP API's problems. A caller zeroes *why before
 * the call; REFUSAL_NONE after a failure means that the errno says it all (for
 * example -EIO, -ENOMEM, -EAGAIN). why may be NULL.
 */
enum refusal_code {
    REFUSAL_NONE = 0,
    REFUSAL_UNAUTHENTICATED,    /* -EPERM: no such token, or a wrong one */
    REFUSAL_TOKEN_EXPIRED,      /* -EPERM */
    REFUSAL_TOKEN_REVOKED,      /* -EPERM */
    REFUSAL_INSUFFICIENT_SCOPE, /* -EACCES: in its scope, without the permission */
    REFUSAL_NOT_FOUND,          /* -ENOENT: also what the token may not see */
    REFUSAL_NO_MERKLE,          /* -ENOENT: the blob is too small to have a merkle object */
    REFUSAL_NO_CHUNKS,          /* -ENOENT: the blob is too small or too large for a chunk list */
    REFUSAL_PURGED,             /* -ESTALE */
    REFUSAL_VERSION_EXISTS,     /* -EEXIST: `existing_content` is what the name stands for */
    REFUSAL_OFFSET_MISMATCH,    /* -EBUSY: `expected_offset` */
    REFUSAL_MISSING_BLOBS,      /* -EBUSY: `missing` files; or the listing or times (text says) */
    REFUSAL_TOO_MANY_LEASES,    /* -EBUSY: of one token */
    REFUSAL_PUSH_BUSY,          /* -EBUSY: another request works on the same thing of this push */
    REFUSAL_PROMOTED,           /* -EBUSY: `names` of channels */
    REFUSAL_PINNED,             /* -EBUSY */
    REFUSAL_LEASED,             /* -EBUSY: `names` of hosts */
    REFUSAL_NO_PREVIOUS,        /* -EBUSY: nothing stood there before */
    REFUSAL_PRECONDITION,       /* -EEXIST: another version is current, the first of `names` ("":
                                   none) */
    REFUSAL_SAFETY_LIMIT,       /* -EBUSY: it would take too much, and is not forced */
    REFUSAL_DIGEST_MISMATCH,    /* -EBADMSG: `expected`, `actual` */
    REFUSAL_VALIDATION,   /* -EINVAL: `pointer` names the member of the request, "" = the body */
    REFUSAL_TOO_LARGE,    /* -EFBIG */
    REFUSAL_FULL,         /* -ENOSPC */
    REFUSAL_RATE_LIMITED, /* -EAGAIN: this token asks for too much at once */
    REFUSAL_NOT_READY,    /* -EAGAIN: so many do together */
    REFUSAL_STORAGE,      /* -EIO, -EBADMSG, -EAGAIN, -EROFS of the store: a fault of ours */
};

#define REFUSAL_NAMES_SIZE 2048

struct refusal {
    enum refusal_code code;
    uint64_t expected_offset;
    uint32_t retry_after_s; /* of -EAGAIN; 0: soon */
    uint64_t missing;
    struct digest expected, actual;
    struct digest existing_content;
    char pointer[64]; /* a JSON pointer such as "/metadata/labels", or "". Also of what an item
                       of the request names and is REFUSAL_NOT_FOUND or REFUSAL_PURGED. */
    size_t name_count;
    char names[REFUSAL_NAMES_SIZE]; /* one behind the other, each with its NUL */
    size_t version_count;
    char versions[REFUSAL_NAMES_SIZE]; /* likewise: where a place is refused for its versions, the
                                          first of them, as P/A/V */
};

/* The `code` of the API ("version-exists"); NULL for REFUSAL_NONE. */
const char *refusal_name(enum refusal_code code);

/* Sets why->code (why may be NULL) and returns `result`: return refusal_set(why, REFUSAL_NOT_FOUND,
 * r); */
int refusal_set(struct refusal *why, enum refusal_code code, int result);

/* REFUSAL_VALIDATION of the member at `pointer` (shorter than why->pointer is long). */
int refusal_at(struct refusal *why, const char *pointer, int result);
