/* SPDX-License-Identifier: MIT */
#include "server/http/page_cache.h"

#include <errno.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE_SIZE 4096
#define PROBES_MAX 32

#ifndef SYS_cachestat
#define SYS_cachestat 451 /* the same on every architecture that Linux 6.5 knows */
#endif

struct cache_range {
    uint64_t offset, size;
};

struct cache_counts {
    uint64_t cached, dirty, writeback, evicted, recently_evicted;
};

/* 1: all resident, 0: not all, -1: the kernel does not say. */
static int ask_kernel(int fd, uint64_t offset, uint64_t size)
{
    struct cache_range range = { offset, size };
    struct cache_counts counts = { 0 };
    uint64_t first = offset / PAGE_SIZE, last = (offset + size - 1) / PAGE_SIZE;

    if (syscall(SYS_cachestat, fd, &range, &counts, 0) < 0)
        return -1;
    return counts.cached >= last - first + 1;
}

static bool probe(int fd, uint64_t offset, uint64_t size)
{
    uint64_t step = size / PROBES_MAX > PAGE_SIZE ? size / PROBES_MAX : PAGE_SIZE;

    for (uint64_t at = 0; at < size; at += step) {
        uint8_t byte;
        struct iovec vector = { &byte, 1 };

        if (preadv2(fd, &vector, 1, (off_t)(offset + at), RWF_NOWAIT) < 0 && errno == EAGAIN)
            return false;
    }
    return true;
}

bool page_cache_has(int fd, uint64_t offset, uint64_t size)
{
    int answer;

    if (size == 0)
        return true;
    answer = ask_kernel(fd, offset, size);
    return answer < 0 ? probe(fd, offset, size) : answer > 0;
}
