/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

struct error;
struct json_value;
struct json_writer;

/*
 * control - a mount's socket: one JSON object asked, one answered, a line each.
 *
 * Answered one after the other by a thread of its own, so that an answer may take its time. Only
 * root and the mount's own user are answered.
 */
struct control;

/* Writes the members of the answer. -errno: the answer is {"error": text, "code": N} instead. */
typedef int control_function(void *context, const struct json_value *question,
                             struct json_writer *writer, struct error *err);

/* Listens at `path`, which is replaced. */
int control_start(struct control **out_control, const char *path, control_function *function,
                  void *context, struct error *err);
/* Ends the thread, removes the socket. NULL is fine; returns NULL. */
struct control *control_stop(struct control *control);
