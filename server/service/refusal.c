/* SPDX-License-Identifier: MIT */
#include "server/service/refusal.h"

#include <stddef.h>
#include <string.h>

static const char *const names[] = {
    [REFUSAL_NONE] = NULL,
    [REFUSAL_UNAUTHENTICATED] = "unauthenticated",
    [REFUSAL_TOKEN_EXPIRED] = "token-expired",
    [REFUSAL_TOKEN_REVOKED] = "token-revoked",
    [REFUSAL_INSUFFICIENT_SCOPE] = "insufficient-scope",
    [REFUSAL_NOT_FOUND] = "not-found",
    [REFUSAL_NO_MERKLE] = "no-merkle",
    [REFUSAL_NO_CHUNKS] = "no-chunks",
    [REFUSAL_PURGED] = "purged",
    [REFUSAL_VERSION_EXISTS] = "version-exists",
    [REFUSAL_OFFSET_MISMATCH] = "offset-mismatch",
    [REFUSAL_MISSING_BLOBS] = "missing-blobs",
    [REFUSAL_TOO_MANY_LEASES] = "too-many-leases",
    [REFUSAL_PUSH_BUSY] = "push-busy",
    [REFUSAL_PROMOTED] = "promoted",
    [REFUSAL_PINNED] = "pinned",
    [REFUSAL_LEASED] = "leased",
    [REFUSAL_NO_PREVIOUS] = "no-previous",
    [REFUSAL_PRECONDITION] = "precondition-failed",
    [REFUSAL_SAFETY_LIMIT] = "safety-limit",
    [REFUSAL_DIGEST_MISMATCH] = "digest-mismatch",
    [REFUSAL_VALIDATION] = "validation",
    [REFUSAL_TOO_LARGE] = "too-large",
    [REFUSAL_FULL] = "full",
    [REFUSAL_RATE_LIMITED] = "rate-limited",
    [REFUSAL_NOT_READY] = "not-ready",
    [REFUSAL_STORAGE] = "storage-backend",
};

const char *refusal_name(enum refusal_code code)
{
    if ((size_t)code >= sizeof(names) / sizeof(names[0]))
        return NULL;
    return names[code];
}

int refusal_set(struct refusal *why, enum refusal_code code, int result)
{
    if (why != NULL)
        why->code = code;
    return result;
}

int refusal_at(struct refusal *why, const char *pointer, int result)
{
    if (why != NULL) {
        why->code = REFUSAL_VALIDATION;
        memcpy(why->pointer, pointer, strlen(pointer) + 1);
    }
    return result;
}
