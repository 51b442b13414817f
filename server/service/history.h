/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

struct error;
struct services;

/*
 * history - forgetting what was long ago: jobs that ended, events, entries of the audit log, each
 * after the age that policy.h has for it. In batches, so that nobody waits for long. *out_count:
 * how many of all.
 */
int history_forget(struct services *services, size_t *out_count, struct error *err);
