/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"

struct buf;
struct error;

/*
 * json - RFC 8259, read into memory with limits; written straight into a buf.
 *
 * Reading: depth, size and duplicate members are checked before a tree is made
 * (-EBADMSG with the offset). Integers stay within 2^53 - 1. Text is UTF-8 without
 * NUL. Values belong to the document: they live until json_free().
 */
struct json;       /* a document */
struct json_value; /* a value in it */

#define JSON_DEPTH_MAX 32
#define JSON_INTEGER_MAX 9007199254740991

int json_parse(struct span text, struct json **out_json, struct error *err);
struct json *json_free(struct json *json); /* NULL is fine */
const struct json_value *json_root(const struct json *json);

bool json_is_object(const struct json_value *value);
bool json_is_array(const struct json_value *value);
bool json_is_null(const struct json_value *value); /* also for NULL: an absent member */

/* NULL when `value` is no object, or has no such member. */
const struct json_value *json_member(const struct json_value *value, const char *name);
/* Items of an array, members of an object, in order; *at starts as NULL. */
const struct json_value *json_next(const struct json_value *value, const struct json_value *at);
size_t json_count(const struct json_value *value);
const char *json_name(const struct json_value *value); /* of a member; "" otherwise */

/* Typed: -EINVAL when it is something else (NULL included), naming `what`. */
int json_get_text(const struct json_value *value, const char *what, const char **out,
                  struct error *err);
int json_get_integer(const struct json_value *value, const char *what, int64_t *out,
                     struct error *err);
int json_get_bool(const struct json_value *value, const char *what, bool *out, struct error *err);

/* The same for a member of an object: absent or null gives 0 and leaves *out alone. */
int json_member_text(const struct json_value *object, const char *name, const char **out,
                     struct error *err);
int json_member_integer(const struct json_value *object, const char *name, int64_t *out,
                        struct error *err);
int json_member_bool(const struct json_value *object, const char *name, bool *out,
                     struct error *err);

/*
 * Writing: commas and quoting are the writer's. name NULL inside arrays and for the
 * root. Texts must be UTF-8: another byte becomes U+FFFD (names of bytes are
 * written as base64 by their owner, FORMATS 5). Failure sticks in the buf.
 *
 *     struct json_writer w = json_writer_init(&buf);
 *     json_begin_object(&w, NULL);
 *     json_text(&w, "project", "demo");
 *     json_end(&w);
 */
struct json_writer {
    struct buf *out;
    bool comma;
    uint8_t depth;
    uint64_t arrays; /* bit d: level d is an array */
};

struct json_writer json_writer_init(struct buf *out);
void json_begin_object(struct json_writer *writer, const char *name);
void json_begin_array(struct json_writer *writer, const char *name);
void json_end(struct json_writer *writer);
void json_text(struct json_writer *writer, const char *name, const char *text); /* NULL: left out */
void json_text_span(struct json_writer *writer, const char *name, struct span text);
void json_integer(struct json_writer *writer, const char *name, int64_t value);
void json_bool(struct json_writer *writer, const char *name, bool value);
void json_null(struct json_writer *writer, const char *name);
/* As RFC 3339 in UTC; one outside the years 0000 to 9999: no member. */
void json_time(struct json_writer *writer, const char *name, int64_t time_s);
/* JSON that is ready, one value, checked by whoever made it. */
void json_ready(struct json_writer *writer, const char *name, struct span value);
