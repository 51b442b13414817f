/* SPDX-License-Identifier: MIT */
#include "server/service/lease_words.h"

#include <errno.h>
#include <string.h>

#include "common/base/error.h"
#include "common/model/names.h"
#include "server/db/leases.h"
#include "server/service/refusal.h"

int lease_check_host(const char *host, struct refusal *why, struct error *err)
{
    int r = name_check(NAME_HOST, span_text(host), err);

    return r < 0 ? refusal_at(why, "/host", r) : 0;
}

int lease_check_state(const char *state, struct error *err)
{
    size_t size = strspn(state, "abcdefghijklmnopqrstuvwxyz-");

    if (size == 0 || size >= LEASE_STATE_SIZE || state[size] != '\0' || state[0] == '-')
        return error_set(err, -EINVAL, "a state is a word of at most %d letters in lower case",
                         LEASE_STATE_SIZE - 1);
    return 0;
}

int lease_check_place(const char *place, struct error *err)
{
    size_t size = strnlen(place, LEASE_PLACE_SIZE);

    if (size == 0 || size >= LEASE_PLACE_SIZE)
        return error_set(err, -EINVAL, "a place is a text of 1 to %d bytes", LEASE_PLACE_SIZE - 1);
    return 0;
}
