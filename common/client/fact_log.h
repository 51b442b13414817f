/* SPDX-License-Identifier: MIT */
#pragma once

#include "common/base/span.h"

struct error;

/*
 * fact_log - lines that are only ever added to a file, each with a checksum of its own.
 *
 * A line is fields of printable ASCII joined by single spaces, then a space, 16 hex digits of the
 * SHA-256 of what stands before, LF. One line is one write to a file opened for appending, so that
 * processes may share it; whatever is torn or damaged is passed over when it is read.
 */
#define FACT_FIELDS_MAX 12

/* Adds a line, and makes the file (0600) when it is absent. -EINVAL: a field that cannot stand
 * there. */
int fact_log_add(const char *path, const char *const *fields, size_t count, struct error *err);

/* Every whole line in order. An absent file has none. Non-zero of `each` ends it and is
 * returned. */
typedef int fact_log_each(void *context, const struct span *fields, size_t count,
                          struct error *err);
int fact_log_read(const char *path, fact_log_each *each, void *context, struct error *err);
