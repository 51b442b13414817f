/* SPDX-License-Identifier: MIT */
#pragma once

struct buf;
struct change_list;
struct json_writer;

/*
 * changes - a list of changes on paper.
 *
 * Text: a letter (change.h), a tab and the path a line, a directory with a slash
 * behind it. JSON: arrays of objects with `path` (or `path_base64`), `directory: true`
 * where it is one, and `what`, a list of "type", "content", "target", "mode" and "time".
 */
void changes_write_text(const struct change_list *list, struct buf *out);

/* Members "added", "removed" and "changed" of the object that is open. */
void changes_write_json(const struct change_list *list, struct json_writer *writer);
