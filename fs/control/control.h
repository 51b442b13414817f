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
 *
 * The socket may outlive the process that answers at it: who holds the mount opens it, and hands it
 * to one worker after the other; what is asked in between waits.
 */
struct control_socket {
    char *path;
    uint64_t inode; /* of what is ours at the path */
    int fd;         /* listens */
};
/* At `path`, which is replaced. */
int control_socket_open(struct control_socket *out, const char *path, struct error *err);
/* A descriptor from control_socket_open, in the process that goes on with it; it is taken. */
int control_socket_resume(struct control_socket *out, const char *path, int fd, struct error *err);
/* Removes it, unless another has taken the path since. One that was never opened (zeroed) is
 * fine. */
void control_socket_close(struct control_socket *socket);

/* Writes the members of the answer. -errno: the answer is {"error": text, "code": N} instead. */
typedef int control_function(void *context, const struct json_value *question,
                             struct json_writer *writer, struct error *err);

/* Answers whoever comes to a listening descriptor, which stays the caller's. */
struct control;
int control_start(struct control **out_control, int listening, control_function *function,
                  void *context, struct error *err);
/* Ends the thread. NULL is fine; returns NULL. */
struct control *control_stop(struct control *control);

/* Answers one that has come, if there is one, for a program without threads. */
void control_answer_one(int listening, control_function *function, void *context);
