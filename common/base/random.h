/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

struct error;

/* random - bytes from the system's generator, fit for keys. -EIO when it fails. Any thread. */
int random_bytes(void *out, size_t size, struct error *err);
