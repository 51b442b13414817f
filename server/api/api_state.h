/* SPDX-License-Identifier: MIT */
#pragma once

#include "server/api/api.h"

/* api_state - the inside of the api, for the files of this folder only. */
struct api {
    struct api_options options;
    struct http_operation *operations; /* one for each of routes, at the same index */
    uint64_t started_ms;
};
