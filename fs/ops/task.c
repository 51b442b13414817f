/* SPDX-License-Identifier: MIT */
#include "fs/ops/task.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/cleanup.h"

#define STATUS_MAX 8192

/* Hexadecimal; anything else ends it. */
static uint64_t mask_of(struct span text)
{
    uint64_t mask = 0;

    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.bytes[i];
        if (c >= '0' && c <= '9')
            mask = mask << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            mask = mask << 4 | (uint64_t)(c - 'a' + 10);
        else
            break;
    }
    return mask;
}

bool task_status_is_killed(struct span status)
{
    struct span line, key;

    while (span_cut(&status, '\n', &line)) {
        if (!span_cut(&line, ':', &key))
            continue;
        if ((span_equal_text(key, "SigPnd") || span_equal_text(key, "ShdPnd")) &&
            (mask_of(span_trim(line)) & (uint64_t)1 << (SIGKILL - 1)) != 0)
            return true;
    }
    return false;
}

bool task_is_killed(uint32_t pid)
{
    char path[32], status[STATUS_MAX];
    cleanup_fd int fd = -1;
    ssize_t size;

    if (pid == 0)
        return false;
    snprintf(path, sizeof(path), "/proc/%u/status", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size = read(fd, status, sizeof(status));
    return size > 0 && task_status_is_killed(span_of(status, (size_t)size));
}
