/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

#include "common/base/span.h"

struct buf;
struct error;
struct json_writer;

/*
 * output - results on stdout, words on stderr.
 *
 * stdout carries the result alone: text for people, or one JSON object. Control
 * bytes of names that come from elsewhere are shown as `?` on a terminal's line.
 */
struct output {
    bool json;
    bool quiet;   /* no warnings */
    bool verbose; /* details on stderr */
};

/* All of it to stdout. -EIO and so on: the reader is gone, the disk is full. */
int output_write(struct buf *bytes, struct error *err);

/* A path for a line of text: control characters, what turns the direction of writing, and
 * backslashes as \ooo for each byte. */
void output_add_path(struct buf *out, struct span path);
/* Member "path" of the object that is open, or "path_base64" (FORMATS 5). */
void output_json_path(struct json_writer *writer, struct span path);

/* A line on stderr: "kkartifact-agent: text". */
void output_error(const char *text);
void output_warning(const struct output *output, const char *text);
/* What a person wants to know and no script reads: not with --quiet, not with --json. */
void output_notice(const struct output *output, const char *text);
/* Lines that a person asked for and that are not the result, as they are: not with --quiet. */
void output_list(const struct output *output, struct buf *lines);
void output_detail(const struct output *output, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
