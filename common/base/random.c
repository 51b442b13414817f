/* SPDX-License-Identifier: MIT */
#include "common/base/random.h"

#include <errno.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/platform.h"

int random_bytes(void *out, size_t size, struct error *err)
{
    uint8_t *at = out;

    while (size > 0) {
        size_t step = size < PLATFORM_ENTROPY_MAX ? size : PLATFORM_ENTROPY_MAX;
        if (platform_entropy(at, step) < 0)
            return error_set(err, -EIO, "the system's random generator failed");
        at += step;
        size -= step;
    }
    return 0;
}
