/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

/*
 * accept - does a client take this coding (Accept-Encoding, RFC 9110, 12.5.3)?
 * False without the header, for q=0, and for what breaks the grammar; `*` counts
 * when the coding is not named. Pure, any bytes.
 */
bool accept_coding(const char *header, const char *coding);
