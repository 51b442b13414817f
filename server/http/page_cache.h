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

/*
 * Reads what is missing, so that page_cache_has() is true again: a kernel takes single pages away
 * from files that are in use, and one of 262,144 is no reason to copy a whole GiB. False, with
 * nothing or a part of it read, when more than PAGE_CACHE_FILL_MAX bytes, or more than a quarter
 * of the range, are missing, when the kernel does not count pages, or when reading fails. Waits
 * for the disk: for workers.
 */
#define PAGE_CACHE_FILL_MAX ((uint64_t)32 << 20)
bool page_cache_fill(int fd, uint64_t offset, uint64_t size);
