/* SPDX-License-Identifier: MIT */
#include "agent/transfer/scratch.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/random.h"

CLEANUP_DEFINE(directory, directory_close);

static const char *find_place(void)
{
#ifdef _WIN32
    const char *place = getenv("TEMP");
    return place != NULL && place[0] != '\0' ? place : ".";
#else
    const char *place = getenv("TMPDIR");
    return place != NULL && place[0] != '\0' ? place : "/tmp";
#endif
}

int scratch_make(struct scratch *out, struct error *err)
{
    cleanup(scratch_release) struct scratch scratch = { 0 };
    cleanup(cleanup_directory) struct directory *place = NULL;
    cleanup(buf_release) struct buf name = buf_init(64);
    uint64_t number;
    int r = directory_open(find_place(), &place, err);

    if (r == 0)
        r = random_bytes(&number, sizeof(number), err);
    if (r < 0)
        return r;
    buf_format(&name, "kkartifact-%016llx", (unsigned long long)number);
    r = buf_check(&name, err);
    if (r == 0)
        r = directory_make(place, buf_text(&name), 0700, err);
    if (r < 0)
        return r;
    scratch.name = buf_take(&name);
    if (scratch.name == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = directory_open_below(place, scratch.name, &scratch.at, err);
    if (r < 0)
        return r;
    *out = scratch;
    scratch = (struct scratch){ 0 };
    return 0;
}

int scratch_remove(struct scratch *scratch)
{
    cleanup(cleanup_directory) struct directory *place = NULL;
    int r;

    scratch->at = directory_close(scratch->at);
    if (scratch->name == NULL)
        return 0;
    r = directory_open(find_place(), &place, NULL);
    if (r == 0)
        r = directory_remove_all(place, scratch->name, NULL);
    if (r == 0)
        scratch->name = memory_free(scratch->name);
    return r;
}

void scratch_release(struct scratch *scratch)
{
    scratch_remove(scratch);
    memory_free(scratch->name);
    *scratch = (struct scratch){ 0 };
}
