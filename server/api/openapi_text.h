/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

/* openapi_text - the bytes of api/openapi.yaml, compiled in (embed). */
extern const unsigned char openapi_text[];
extern const size_t openapi_text_size;
