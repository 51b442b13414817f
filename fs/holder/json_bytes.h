/* SPDX-License-Identifier: MIT */
#pragma once

#include "common/base/span.h"

struct buf;
struct error;
struct json_value;
struct json_writer;

/*
 * json_bytes - members of an object that are bytes, such as paths, which need not be UTF-8: written
 * as base64.
 */
void json_bytes(struct json_writer *writer, const char *name, struct span bytes);
/* NULL is left out. */
void json_bytes_text(struct json_writer *writer, const char *name, const char *text);

/* Appends to *out. Absent: 0, and nothing is appended. -EBADMSG: no base64. */
int json_member_bytes(const struct json_value *object, const char *name, struct buf *out,
                      struct error *err);
/* A text of its own, which replaces *out (memory_free'd); absent leaves it alone. */
int json_member_bytes_text(const struct json_value *object, const char *name, char **out,
                           struct error *err);
