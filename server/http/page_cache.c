/* SPDX-License-Identifier: MIT */
#include "server/http/page_cache.h"

#include <errno.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE_SIZE 4096
#define PROBES_MAX 32
#define FILL_WINDOW ((uint64_t)256 << 10)

#ifndef SYS_cachestat
#define SYS_cachestat 451 /* the same on every architecture that Linux 6.5 knows */
#endif

struct cache_range {
    uint64_t offset, size;
};

struct cache_counts {
    uint64_t cached, dirty, writeback, evicted, recently_evicted;
};

static uint64_t page_count(uint64_t offset, uint64_t size)
{
    return (offset + size - 1) / PAGE_SIZE - offset / PAGE_SIZE + 1;
}

/* How many pages of the range are not resident, -1: the kernel does not say. */
static int64_t missing_pages(int fd, uint64_t offset, uint64_t size)
{
    struct cache_range range = { offset, size };
    struct cache_counts counts = { 0 };
    uint64_t all = page_count(offset, size);

    if (syscall(SYS_cachestat, fd, &range, &counts, 0) < 0)
        return -1;
    return counts.cached >= all ? 0 : (int64_t)(all - counts.cached);
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
    int64_t missing;

    if (size == 0)
        return true;
    missing = missing_pages(fd, offset, size);
    return missing < 0 ? probe(fd, offset, size) : missing == 0;
}

static bool read_through(int fd, uint64_t offset, uint64_t size)
{
    uint8_t bytes[64 * 1024];

    while (size > 0) {
        ssize_t got =
            pread(fd, bytes, size < sizeof(bytes) ? (size_t)size : sizeof(bytes), (off_t)offset);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        offset += (uint64_t)got;
        size -= (uint64_t)got;
    }
    return true;
}

bool page_cache_fill(int fd, uint64_t offset, uint64_t size)
{
    const uint64_t end = offset + size;
    int64_t missing = size == 0 ? 0 : missing_pages(fd, offset, size);

    if (missing < 0 || (uint64_t)missing * PAGE_SIZE > PAGE_CACHE_FILL_MAX ||
        (uint64_t)missing * 4 > page_count(offset, size))
        return missing == 0;
    for (uint64_t at = offset; missing > 0 && at < end; at += FILL_WINDOW) {
        uint64_t part = end - at < FILL_WINDOW ? end - at : FILL_WINDOW;
        int64_t here = missing_pages(fd, at, part);

        if (here > 0 && !read_through(fd, at, part))
            return false;
        missing -= here > 0 ? here : 0;
    }
    return page_cache_has(fd, offset, size);
}
