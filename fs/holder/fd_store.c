/* SPDX-License-Identifier: MIT */
#include "fs/holder/fd_store.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/notify.h"
#include "common/base/number.h"

#define FIRST 3 /* as sd_listen_fds(3) has it */
#define COUNT_MAX 64

static const char *const names[] = { "kkartifact-fuse", "kkartifact-ring", "kkartifact-opens",
                                     "kkartifact-state" };
#define NAME_COUNT (sizeof(names) / sizeof(*names))

void fd_store_keep(const struct fd_store *given)
{
    const int descriptors[NAME_COUNT] = { given->fuse, given->ring, given->opens, given->state };
    char text[64];

    for (size_t i = 0; i < NAME_COUNT; i++) {
        if (descriptors[i] < 0)
            continue;
        snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s", names[i]);
        notify_manager_with(text, &descriptors[i], 1);
    }
}

void fd_store_drop(void)
{
    char text[64];

    for (size_t i = 0; i < NAME_COUNT; i++) {
        snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", names[i]);
        notify_manager(text);
    }
}

static uint64_t number_of(const char *variable)
{
    const char *text = getenv(variable);
    uint64_t number = 0;

    return text != NULL && number_parse(span_text(text), INT32_MAX, &number, NULL) == 0 ? number
                                                                                        : 0;
}

void fd_store_take(struct fd_store *out)
{
    int *const places[NAME_COUNT] = { &out->fuse, &out->ring, &out->opens, &out->state };
    bool is_ours = number_of("LISTEN_PID") == (uint64_t)getpid();
    uint64_t count = is_ours ? number_of("LISTEN_FDS") : 0;
    const char *listed = getenv("LISTEN_FDNAMES");
    struct span rest = span_text(listed != NULL ? listed : ""), name;

    *out = (struct fd_store){ -1, -1, -1, -1 };
    for (uint64_t i = 0; i < count && i < COUNT_MAX; i++) {
        int fd = FIRST + (int)i, *place = NULL;
        span_cut(&rest, ':', &name);
        for (size_t k = 0; k < NAME_COUNT; k++)
            if (span_equal_text(name, names[k]) && *places[k] < 0)
                place = places[k];
        if (place != NULL && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0)
            *place = fd;
        else
            close(fd);
    }
    if (is_ours) {
        unsetenv("LISTEN_PID");
        unsetenv("LISTEN_FDS");
        unsetenv("LISTEN_FDNAMES");
    }
}
