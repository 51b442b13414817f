/* SPDX-License-Identifier: MIT */
#include "agent/transfer/cache_trim.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"

#define PATH_SIZE 128

struct kept {
    char path[PATH_SIZE];
    int64_t mtime_s;
    uint64_t size;
};

struct all_kept {
    struct directory *at;
    const char *path;
    struct buf kept; /* struct kept each */
    uint64_t bytes;
};

static int add_kept(void *context, const char *name, enum file_kind kind, struct error *err)
{
    struct all_kept *all = context;
    cleanup(buf_release) struct buf path = buf_init(PATH_SIZE - 1);
    struct file_info info;
    struct kept one = { .size = 0 };

    buf_format(&path, "%s/%s", all->path, name);
    if (buf_check(&path, NULL) < 0 || directory_info(all->at, buf_text(&path), &info, NULL) < 0)
        return 0;
    memcpy(one.path, buf_text(&path), path.size + 1);
    one.mtime_s = info.mtime_s;
    one.size = info.size;
    all->bytes += info.size;
    buf_add(&all->kept, &one, sizeof(one));
    return 0;
}

static int compare_ages(const void *a, const void *b)
{
    const struct kept *left = a, *right = b;

    return (left->mtime_s > right->mtime_s) - (left->mtime_s < right->mtime_s);
}

void cache_trim(struct directory *at, const char *path, size_t files, uint64_t bytes)
{
    struct all_kept all = { .at = at, .path = path, .kept = buf_init(BUF_UNLIMITED) };
    struct kept *kept;
    size_t count;

    if (at == NULL)
        return;
    directory_list(at, path, add_kept, &all, NULL);
    kept = (struct kept *)(void *)all.kept.bytes;
    count = all.kept.size / sizeof(*kept);
    if (count > 1)
        qsort(kept, count, sizeof(*kept), compare_ages);
    for (size_t i = 0; i < count && (count - i > files || all.bytes > bytes); i++) {
        directory_remove_file(at, kept[i].path, NULL);
        all.bytes -= kept[i].size;
    }
    buf_release(&all.kept);
}
