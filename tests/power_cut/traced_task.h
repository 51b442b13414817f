/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * traced_task - what can be learned of another task that stands still: its memory, and what its
 * descriptors lead to.
 */
#define TRACED_PATH_SIZE 4096

/* How many bytes could be read. */
size_t task_read(pid_t task, uint64_t address, void *out, size_t size);
/* A text of the C kind, cut to `size`. */
void task_text(pid_t task, uint64_t address, char *out, size_t size);
/* Where /proc/TASK/WHAT/FD leads (fd < 0: /proc/TASK/WHAT); "": nowhere. */
void task_link(pid_t task, const char *what, int fd, char out[TRACED_PATH_SIZE]);
bool task_fd_inode(pid_t task, int fd, uint64_t *out);
uint64_t task_fd_position(pid_t task, int fd);
