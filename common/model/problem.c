/* SPDX-License-Identifier: MIT */
#include "common/model/problem.h"

#include <errno.h>

#include "common/base/error.h"

/* Of the lines with one errno, the first is what a server answers; of those with one status, the
 * first is what a client makes of it. */
static const struct problem problems[] = {
    { "unauthenticated", 401, -EPERM, EXIT_NOT_ALLOWED, "Not authenticated" },
    { "token-expired", 401, -EPERM, EXIT_NOT_ALLOWED, "The token has expired" },
    { "token-revoked", 401, -EPERM, EXIT_NOT_ALLOWED, "The token was revoked" },
    { "insufficient-scope", 403, -EACCES, EXIT_NOT_ALLOWED, "Not allowed" },
    { "not-found", 404, -ENOENT, EXIT_NOT_FOUND, "Not found" },
    { "no-merkle", 404, -ENOENT, EXIT_NOT_FOUND, "The blob has no merkle tree" },
    { "no-chunks", 404, -ENOENT, EXIT_NOT_FOUND, "The blob has no chunk list" },
    { "purged", 410, -ESTALE, EXIT_NOT_FOUND, "Purged for ever" },
    { "method-not-allowed", 405, -ENOTSUP, EXIT_OTHER, "Method not allowed" },
    { "unsupported-media-type", 415, -ENOTSUP, EXIT_OTHER, "Unsupported media type" },
    { "length-required", 411, -EINVAL, EXIT_OTHER, "Length required" },
    { "too-large", 413, -EFBIG, EXIT_OTHER, "Too large" },
    { "version-exists", 409, -EEXIST, EXIT_CONFLICT, "The version exists with other content" },
    { "offset-mismatch", 409, -EBUSY, EXIT_CONFLICT, "Wrong offset" },
    { "missing-blobs", 409, -EBUSY, EXIT_CONFLICT, "Blobs are missing" },
    { "push-busy", 409, -EBUSY, EXIT_CONFLICT, "The push is busy" },
    { "promoted", 409, -EBUSY, EXIT_CONFLICT, "The version is promoted" },
    { "pinned", 409, -EBUSY, EXIT_CONFLICT, "The version is pinned" },
    { "leased", 409, -EBUSY, EXIT_CONFLICT, "The version is in use" },
    { "no-previous", 409, -EBUSY, EXIT_CONFLICT, "Nothing stood there before" },
    { "too-many-leases", 409, -EBUSY, EXIT_CONFLICT, "Too many leases" },
    { "being-deleted", 409, -EBUSY, EXIT_CONFLICT, "It is being deleted" },
    { "safety-limit", 409, -EBUSY, EXIT_CONFLICT, "A safety limit was reached" },
    { "precondition-failed", 412, -EEXIST, EXIT_CONFLICT, "Precondition failed" },
    { "range", 416, -EINVAL, EXIT_OTHER, "Range not satisfiable" },
    { "digest-mismatch", 422, -EBADMSG, EXIT_INTEGRITY, "The bytes do not match their digest" },
    { "validation", 422, -EINVAL, EXIT_OTHER, "Not valid" },
    { "malformed-json", 400, -EINVAL, EXIT_OTHER, "Malformed JSON" },
    { "rate-limited", 429, -EAGAIN, EXIT_UNREACHABLE, "Too many requests" },
    { "internal", 500, -EIO, EXIT_UNREACHABLE, "Internal error" },
    { "not-ready", 503, -EAGAIN, EXIT_UNREACHABLE, "Not ready" },
    { "storage-backend", 502, -EAGAIN, EXIT_UNREACHABLE, "The storage does not answer" },
    { "full", 507, -ENOSPC, EXIT_UNREACHABLE, "Full" },
    { NULL, 0, 0, 0, NULL },
};

/* What a service's errno means where the first line of the table would be the wrong one. */
static const struct {
    int error;
    const char *code;
} answers[] = {
    { -EINVAL, "validation" }, { -EAGAIN, "not-ready" },    { -EBUSY, "push-busy" },
    { -ENOTDIR, "not-found" }, { -ETIMEDOUT, "not-ready" }, { -EROFS, "full" },
    { -ENOTSUP, "internal" }, { -EINPROGRESS, "being-deleted" },
#ifdef EDQUOT
    { -EDQUOT, "full" },
#endif
};

const struct problem *problem_table(void)
{
    return problems;
}

const struct problem *problem_by_code(struct span code)
{
    for (const struct problem *at = problems; at->code != NULL; at++) {
        if (span_equal_text(code, at->code))
            return at;
    }
    return NULL;
}

const struct problem *problem_by_error(int error)
{
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        if (answers[i].error == error)
            return problem_by_code(span_text(answers[i].code));
    }
    for (const struct problem *at = problems; at->code != NULL; at++) {
        if (at->error == error)
            return at;
    }
    return problem_by_code(span_text("internal"));
}

const struct problem *problem_by_status(int status)
{
    const char *code = status >= 500 ? "internal" : "malformed-json";

    for (const struct problem *at = problems; at->code != NULL; at++) {
        if (at->status == status)
            return at;
    }
    return problem_by_code(span_text(code));
}

static const struct {
    int error;
    enum exit_code exit_code;
} exits[] = {
    { -EACCES, EXIT_NOT_ALLOWED }, { -EPERM, EXIT_NOT_ALLOWED },
    { -ENOENT, EXIT_NOT_FOUND },   { -ESTALE, EXIT_NOT_FOUND },
    { -EEXIST, EXIT_CONFLICT },    { -EBUSY, EXIT_CONFLICT },
    { -EAGAIN, EXIT_UNREACHABLE }, { -ETIMEDOUT, EXIT_UNREACHABLE },
    { -EIO, EXIT_UNREACHABLE },    { -EBADMSG, EXIT_INTEGRITY },
    { -ENOSPC, EXIT_LOCAL },       { -EROFS, EXIT_LOCAL },
    { -ENOTDIR, EXIT_LOCAL },      { -EISDIR, EXIT_LOCAL },
    { -ELOOP, EXIT_LOCAL },        { -ENAMETOOLONG, EXIT_LOCAL },
    { -ENOTEMPTY, EXIT_LOCAL },    { -ECANCELED, EXIT_INTERRUPTED },
    { -EPROTO, EXIT_NOT_ALLOWED },
#ifdef EDQUOT
    { -EDQUOT, EXIT_LOCAL },
#endif
};

int problem_exit_code(int error)
{
    if (error >= 0)
        return EXIT_DONE;
    for (size_t i = 0; i < sizeof(exits) / sizeof(exits[0]); i++) {
        if (exits[i].error == error)
            return exits[i].exit_code;
    }
    return EXIT_OTHER;
}
