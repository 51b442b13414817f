/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "server/db/tokens.h"

/* token_fact - a token's row as it stood at an epoch: true as long as the epoch is the same. */
struct token_fact {
    struct token token;
    uint64_t epoch;
};
