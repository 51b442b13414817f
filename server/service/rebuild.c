/* SPDX-License-Identifier: MIT */
#include "server/service/rebuild.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/model/tree.h"
#include "server/db/database_copy.h"
#include "server/db/rebuilding.h"
#include "server/service/object_check.h"
#include "server/service/record_store.h"
#include "server/service/version_record.h"
#include "server/storage/blob_store.h"

struct rebuilding {
    const struct rebuild *rebuild;
    struct blob_store *store;
    struct database *database;
    struct rebuild_result result;
    size_t count; /* of `batch` */
    struct blob batch[REBUILDING_BATCH];
};

static void tell(struct rebuilding *self, enum rebuild_found kind, const char *name,
                 const char *why)
{
    self->rebuild->tell(self->rebuild->context, kind, name, why);
}

/* What may be wrong with one object and says nothing of the next; the store itself answers. */
static bool is_of_one(struct rebuilding *self, int r)
{
    return object_is_unreadable(r) && blob_store_check(self->store, NULL) == 0;
}

/* ------------------------------------------------------------ blobs */

static int go_on(void *context, struct error *err)
{
    return 0;
}

static int flush(struct rebuilding *self, struct error *err)
{
    const size_t count = self->count;
    size_t added = 0;
    int r;

    self->count = 0;
    r = rebuilding_blobs(self->database, self->batch, count, &added, err);
    self->result.blobs += added;
    self->result.duplicates += r < 0 ? 0 : count - added;
    return r;
}

static int measure(struct rebuilding *self, const char *key, uint64_t size, struct error *err)
{
    enum object_verdict verdict = OBJECT_RIGHT;
    struct error why = { 0 };
    int r = object_measure(self->store, key, size, go_on, NULL, &self->batch[self->count], &verdict,
                           &why);

    self->result.objects++;
    self->result.bytes += size;
    if (r < 0 && !is_of_one(self, r))
        return error_set(err, r, "%s", why.text);
    if (r < 0 || verdict != OBJECT_RIGHT) {
        self->result.damaged++;
        tell(self, REBUILD_DAMAGED, key, r < 0 ? why.text : "it does not give its hashes");
        return 0;
    }
    return ++self->count == REBUILDING_BATCH ? flush(self, err) : 0;
}

/* ------------------------------------------------------------ purged names */

static int spend_purged(struct rebuilding *self, const char *name, struct error *err)
{
    struct purged_record purged;
    struct error why = { 0 };
    int r = record_store_read_purged(self->store, name, &purged, &why);

    if (r == 0)
        r = rebuilding_purged(self->database, &purged, &why);
    self->result.purged += r == 0;
    if (r == 0 || (r != -EEXIST && !is_of_one(self, r)))
        return r < 0 ? error_set(err, r, "%s", why.text) : 0;
    self->result.wrong_records++;
    tell(self, REBUILD_RECORD, name, why.text);
    return 0;
}

/* blob_store_each */
static int take_object(void *context, const char *name, uint64_t size, int64_t changed_at_s,
                       struct error *err)
{
    struct rebuilding *self = context;
    char key[BLOB_STORAGE_KEY_SIZE];

    if (record_object_of(name) == RECORD_PURGED)
        return spend_purged(self, name, err);
    if (object_row_key(name, key) && strcmp(key, name) == 0)
        return measure(self, name, size, err);
    return 0;
}

/* ------------------------------------------------------------ versions */

/* A whole object in memory: its mapping, or a copy of it. */
struct image {
    struct span mapped;
    uint8_t *copied;
    struct tree tree;
};

static void image_release(struct image *image)
{
    file_unmap(image->mapped);
    memory_free(image->copied);
}

static int image_read(struct image *image, struct blob_reader *reader, struct span *out,
                      struct error *err)
{
    int r;

    if (reader->fd >= 0 && reader->fd_offset == 0) {
        r = file_map(reader->fd, (size_t)reader->size, &image->mapped, err);
        *out = image->mapped;
        return r;
    }
    image->copied = memory_array((size_t)reader->size + 1, 1);
    if (image->copied == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    *out = span_of(image->copied, (size_t)reader->size);
    return blob_reader_read(reader, 0, image->copied, (size_t)reader->size, err);
}

static int image_open(struct image *image, struct blob_store *store, const struct blob *blob,
                      struct error *err)
{
    cleanup(blob_reader_release) struct blob_reader reader = { 0 };
    struct span bytes;
    int r = blob_store_open(store, blob->key, 0, blob->size, &reader, err);

    if (r == 0)
        r = image_read(image, &reader, &bytes, err);
    return r < 0 ? r : tree_open(bytes, &image->tree, err);
}

/* As rebuilding_version.file. */
static void file_of(void *context, size_t index, struct digest *out_sha256,
                    struct digest *out_verity)
{
    const struct image *image = context;

    *out_sha256 = tree_sha256(&image->tree, (uint32_t)index);
    *out_verity = tree_verity(&image->tree, (uint32_t)index);
}

static int compare(const struct record *record, const struct tree_header *header, struct error *err)
{
    if (digest_equal(&header->content, &record->content) &&
        digest_equal(&header->times, &record->times) && header->file_count == record->file_count &&
        header->bytes == record->bytes)
        return 0;
    return error_set(err, -EBADMSG, "its record and its tree differ");
}

static int version_of(const struct record *record, struct version *out, struct error *err)
{
    int r = version_record_metadata(record, &out->metadata, err);

    if (r == 0)
        r = version_record_signatures(record, &out->signatures, err);
    if (r == 0 && record->pushed_by != NULL &&
        (out->pushed_by = memory_text(record->pushed_by)) == NULL)
        r = error_set(err, -ENOMEM, "out of memory");
    memcpy(out->project, record->project, sizeof(out->project));
    memcpy(out->app, record->app, sizeof(out->app));
    memcpy(out->name, record->version, sizeof(out->name));
    out->content = record->content;
    out->times = record->times;
    out->tree = record->tree;
    out->tree_size = record->tree_size;
    out->file_count = record->file_count;
    out->bytes = record->bytes;
    out->created_at_s = record->created_at_s;
    return r;
}

/* 0 and what is missing. A tree that is not there, or is no tree, is one that is missing. */
static int bring_back(struct rebuilding *self, const struct record *record, uint64_t *out_missing,
                      struct error *err)
{
    cleanup(version_release) struct version version = version_empty();
    struct rebuilding_version wanted = { .version = &version, .file = file_of };
    struct image image = { .copied = NULL };
    struct blob blob;
    int r = version_of(record, &version, err);

    if (r < 0)
        return r;
    r = rebuilding_find(self->database, &record->tree, record->tree_size, &blob, NULL);
    if (r == 0)
        r = image_open(&image, self->store, &blob, NULL);
    if (r == 0 && compare(record, &image.tree.header, NULL) == 0) {
        wanted.tree_blob_id = blob.id;
        wanted.file_count = image.tree.header.file_count;
        wanted.context = &image;
    }
    r = r == 0 || is_of_one(self, r)
            ? rebuilding_version(self->database, &wanted, out_missing, err)
            : error_set(err, r, "the tree of %s cannot be read", record->version);
    image_release(&image);
    return r;
}

static int take_version(struct rebuilding *self, const char *name, struct error *err)
{
    cleanup(record_release) struct record record;
    char place[sizeof(record.project) + sizeof(record.app) + sizeof(record.version)], words[64];
    struct error why = { 0 };
    uint64_t missing = 0;
    int r;

    record_init(&record);
    r = record_store_read(self->store, name, &record, &why);
    if (r == 0)
        r = bring_back(self, &record, &missing, &why);
    if (r < 0 && r != -EEXIST && !is_of_one(self, r))
        return error_set(err, r, "%s", why.text);
    if (r < 0) {
        self->result.wrong_records++;
        tell(self, REBUILD_RECORD, name, why.text);
    } else if (missing > 0) {
        self->result.incomplete++;
        snprintf(place, sizeof(place), "%s/%s/%s", record.project, record.app, record.version);
        snprintf(words, sizeof(words), "%llu of its blobs are lost", (unsigned long long)missing);
        tell(self, REBUILD_INCOMPLETE, place, words);
    } else {
        self->result.versions++;
    }
    return 0;
}

/* 1: there is an object beside the record that says that its version was purged. */
static int is_purged(struct rebuilding *self, const char *name, struct error *err)
{
    struct blob_reader reader;
    char key[RECORD_KEY_SIZE];
    int r;

    memcpy(key, name, sizeof(key));
    key[RECORD_KEY_SIZE - 2] = 'd';
    r = blob_store_open(self->store, key, 0, UINT64_MAX, &reader, err);
    if (r == 0)
        blob_reader_release(&reader);
    return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

/* blob_store_each */
static int take_record(void *context, const char *name, uint64_t size, int64_t changed_at_s,
                       struct error *err)
{
    struct rebuilding *self = context;
    int r;

    if (record_object_of(name) != RECORD_VERSION)
        return 0;
    r = is_purged(self, name, err);
    if (r != 0)
        return r < 0 ? r : 0;
    return take_version(self, name, err);
}

/* ------------------------------------------------------------ all of it */

static int drop_doubtful(struct rebuilding *self, struct error *err)
{
    struct blob blob = { .id = 0 };
    int r;

    while ((r = rebuilding_doubtful(self->database, blob.id, &blob, err)) > 0) {
        self->result.blobs--;
        self->result.damaged++;
        tell(self, REBUILD_DAMAGED, blob.key, "nothing says that its bytes are right");
    }
    return r;
}

static int run(struct rebuilding *self, struct error *err)
{
    int r = rebuilding_begin(self->database, blob_store_id(self->store), err);

    if (r == 0)
        r = blob_store_list(self->store, take_object, self, err);
    if (r == 0)
        r = flush(self, err);
    if (r == 0)
        r = blob_store_list(self->store, take_record, self, err);
    if (r == 0)
        r = drop_doubtful(self, err);
    if (r == 0)
        r = rebuilding_end(self->database, err);
    return r < 0 ? r : database_copy_tell(self->database, "store.rebuild", NULL, err);
}

int rebuild_run(const struct rebuild *rebuild, struct rebuild_result *out, struct error *err)
{
    cleanup_memory struct rebuilding *self = memory_new(sizeof(*self));
    int r;

    if (self == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    self->rebuild = rebuild;
    self->store = rebuild->store;
    self->database = rebuild->database;
    r = run(self, err);
    if (r == 0)
        *out = self->result;
    return r;
}
