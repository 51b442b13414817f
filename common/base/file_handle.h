/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>
#include <wchar.h>

struct error;
struct file_info;

/*
 * file_handle - Windows handles under the descriptors of file.h; for file and
 * directory on Windows. A handle is a HANDLE, here as void * so that windows.h
 * stays out of the header.
 */

/* CreateFileW with sharing of everything, not through a reparse point; access and creation are
 * Windows' constants. */
int file_handle_open(const wchar_t *path, uint32_t access, uint32_t creation, const char *shown,
                     void **out_handle, struct error *err);
/* A descriptor that owns the handle (closed on failure), binary and not inherited. */
int file_handle_descriptor(void *handle, int *out_fd, struct error *err);
int file_handle_info(void *handle, struct file_info *out, const char *shown, struct error *err);
/* What `path` itself is: links are not followed. */
int file_handle_path_info(const wchar_t *path, struct file_info *out, const char *shown,
                          struct error *err);
