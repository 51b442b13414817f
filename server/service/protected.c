/* SPDX-License-Identifier: MIT */
#include "server/service/protected.h"

#include <string.h>

#include "server/db/protection.h"
#include "server/service/refusal.h"

int refuse_protected(const struct protection *protection, struct refusal *why, int r)
{
    static const enum refusal_code codes[] = {
        [PROTECTION_NONE] = REFUSAL_NONE,
        [PROTECTION_PROMOTED] = REFUSAL_PROMOTED,
        [PROTECTION_PINNED] = REFUSAL_PINNED,
        [PROTECTION_LEASED] = REFUSAL_LEASED,
    };

    _Static_assert(PROTECTION_NAMES_SIZE <= REFUSAL_NAMES_SIZE, "a refusal holds the names");
    if (why != NULL) {
        why->name_count = protection->by.count;
        memcpy(why->names, protection->by.text, sizeof(protection->by.text));
        why->version_count = protection->versions.count;
        memcpy(why->versions, protection->versions.text, sizeof(protection->versions.text));
    }
    return refusal_set(why, codes[protection->kind], r);
}
