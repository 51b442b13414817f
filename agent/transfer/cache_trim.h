/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct directory;

/*
 * cache_trim - a directory of a cache keeps its youngest files.
 *
 * Files are as old as their mtime says; whoever uses one sets it. Those that go are the oldest,
 * until no more than so many files of so many bytes in all are left. No failure is told: what
 * stays too long goes the next time. at may be NULL. Any thread; other processes may add and
 * remove.
 */
void cache_trim(struct directory *at, const char *path, size_t files, uint64_t bytes);
