/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * page_cache - can these bytes of a file be read without waiting for a disk?
 *
 * One system call where the kernel counts resident pages (cachestat, Linux 6.5); elsewhere
 * reads of one byte that refuse to wait, spread over the range. True when the
 * file system cannot tell. An event loop asks this before it sends a file.
 */
bool page_cache_has(int fd, uint64_t offset, uint64_t size);
