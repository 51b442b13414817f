/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

struct error;

/* file_system - whether a directory's file system is one whose locks and shared memory can be
 * trusted. */

/* The name of a network file system by its magic number (statfs), or NULL when it is none. */
const char *file_system_network_name(unsigned long magic);

/* -ENOTSUP when the directory that holds `path` is on a network file system. */
int file_system_require_local(const char *path, struct error *err);
