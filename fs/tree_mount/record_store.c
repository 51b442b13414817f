/* SPDX-License-Identifier: MIT */
#include "fs/tree_mount/record_store.h"

#include <errno.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/base/workers.h"
#include "common/codec/digest.h"
#include "common/model/record.h"

#define PATH_SIZE_MAX 8192

struct saving {
    struct buf path;
    struct buf text;
};

static void add_path(struct buf *out, const char *directory, const char *project, const char *app,
                     const char *version, const struct digest *tree)
{
    cleanup(buf_release) struct buf key = buf_init(4096);
    char hex[DIGEST_HEX_SIZE];
    struct digest digest;

    digest_hex(tree, hex);
    buf_format(&key, "%s %s %s %s", project, app, version, hex);
    if (key.failure != 0)
        out->failure = key.failure;
    digest = digest_of_span(buf_span(&key));
    digest_hex(&digest, hex);
    buf_format(out, "%s/%s.yaml", directory, hex);
}

int record_store_load(const char *directory, const char *project, const char *app,
                      const char *version, const struct digest *tree, struct record *out)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_SIZE_MAX);
    cleanup(buf_release) struct buf text = buf_init(RECORD_MAX_SIZE);

    if (directory == NULL)
        return -ENOENT;
    add_path(&path, directory, project, app, version, tree);
    if (buf_check(&path, NULL) < 0 || file_load(buf_text(&path), &text, NULL) < 0 ||
        record_read(buf_span(&text), out, NULL) < 0)
        return -ENOENT;
    return 0;
}

static void saving_free(struct saving *saving)
{
    buf_release(&saving->path);
    buf_release(&saving->text);
    memory_free(saving);
}

static void save(void *context)
{
    struct saving *saving = context;

    file_save(buf_text(&saving->path), buf_span(&saving->text), 0600, NULL);
    saving_free(saving);
}

void record_store_save(const char *directory, struct workers *workers, const struct record *record)
{
    struct saving *saving = NULL;

    if (directory == NULL)
        return;
    saving = memory_new(sizeof(*saving));
    if (saving == NULL)
        return;
    saving->path = buf_init(PATH_SIZE_MAX);
    saving->text = buf_init(RECORD_MAX_SIZE);
    add_path(&saving->path, directory, record->project, record->app, record->version,
             &record->tree);
    record_write(record, &saving->text);
    if (buf_check(&saving->path, NULL) < 0 || buf_check(&saving->text, NULL) < 0 ||
        workers_try(workers, save, saving) < 0)
        saving_free(saving);
}
