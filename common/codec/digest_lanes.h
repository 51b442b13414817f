/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * digest_lanes - two SHA-256s at once, for digest.c alone.
 *
 * A processor's SHA instructions wait for their own results half of the time; a second message that
 * has nothing to do with the first fills that time, so that two take the time of one. (S. Gulley
 * and others, "Intel SHA Extensions", 2013, has the instructions.) On other processors than x86
 * ones that have them it is not possible.
 */
#define DIGEST_LANES 2

bool digest_lanes_possible(void);

/* The compression function over `count` blocks of 64 bytes of each message; states as FIPS 180-4
 * has them. Only where it is possible. */
void digest_lanes_add(uint32_t states[DIGEST_LANES][8], const uint8_t *const messages[DIGEST_LANES],
                      size_t count);
