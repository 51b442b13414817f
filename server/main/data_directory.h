/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

struct error;

/*
 * data_directory - what a data directory is as a whole: whose, and beside which others. Paths are
 * the operator's own.
 */

/* One process at a time serves a data directory, or writes a backup into it. The lock is the
 * descriptor's, and ends with the process, however that ends. -EBUSY. On a read-only disk, where
 * nobody serves, it is of nothing. */
int data_directory_lock(const char *path, int *out_fd, struct error *err);

/* Whether one is the other or lies in it, links followed. Neither needs to be there. */
int data_directory_overlap(const char *one, const char *other, bool *out, struct error *err);

/* 1: nothing is in it (or it is not there); 0: only what belongs into a data directory; -EEXIST:
 * something else. */
int data_directory_look(const char *path, struct error *err);
