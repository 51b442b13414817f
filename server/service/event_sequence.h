/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

struct error;
struct services;

/*
 * event_sequence - numbers events that are committed, so that readers can go by the number.
 *
 * One leader among all servers of a database; *out_count 0 when another one leads, or nothing is
 * new.
 */
int event_sequence_step(struct services *services, size_t *out_count, struct error *err);
