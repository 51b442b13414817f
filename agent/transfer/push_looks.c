/* SPDX-License-Identifier: MIT */
#include "agent/transfer/push_looks.h"

#include <errno.h>
#include <pthread.h>

#include "agent/transfer/hint_cache.h"
#include "agent/transfer/push_delta.h"
#include "agent/transfer/scan.h"
#include "agent/transfer/stat_cache.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/workers.h"
#include "common/model/chunk_list.h"
#include "common/model/merkle.h"

#define LOOKS_MAX 64
/* Of a file's bytes, how many a chunk list has at most: a chunk of 4 KiB has 20. */
#define LIST_SHARE 150

struct look {
    struct push_looks *looks;
    const struct scan_entry *entry;
    uint64_t size;
    enum push_base_kind kind;
    uint64_t stamp; /* of the file that was looked at */
    struct buf own;
    int result;
    bool done; /* locked; hands over the three above */
};

struct push_looks {
    struct directory *root, *cache;
    atomic_bool stop;
    pthread_mutex_t lock; /* of `done` */
    pthread_cond_t looked;
    struct workers *workers; /* once there is something to look at */
    struct look looks[LOOKS_MAX];
    size_t count;
    uint64_t bytes; /* that they may come to */
};

int push_looks_new(struct directory *root, struct directory *cache, struct push_looks **out_looks,
                   struct error *err)
{
    struct push_looks *looks = memory_new(sizeof(*looks));

    if (looks == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    looks->root = root;
    looks->cache = cache;
    pthread_mutex_init(&looks->lock, NULL);
    pthread_cond_init(&looks->looked, NULL);
    *out_looks = looks;
    return 0;
}

void push_looks_stop(struct push_looks *looks)
{
    if (looks != NULL)
        atomic_store(&looks->stop, true);
}

struct push_looks *push_looks_free(struct push_looks *looks)
{
    if (looks == NULL)
        return NULL;
    push_looks_stop(looks);
    workers_free(looks->workers);
    pthread_cond_destroy(&looks->looked);
    pthread_mutex_destroy(&looks->lock);
    for (size_t i = 0; i < looks->count; i++)
        buf_release(&looks->looks[i].own);
    return memory_free(looks);
}

static int look_at(struct look *look)
{
    bool lists = look->kind == PUSH_BASE_LIST;
    cleanup_fd int fd = -1;
    struct push_delta_file file = { .size = look->size, .stop = &look->looks->stop };
    struct file_info info;
    int r = directory_open_read(look->looks->root, look->entry->path, &fd, NULL);

    if (r == 0)
        r = file_info(fd, &info, NULL);
    if (r < 0)
        return r;
    file.fd = fd;
    look->stamp = stat_stamp(&info);
    return push_delta_look(&file, lists ? &look->own : NULL, lists ? NULL : &look->own, NULL);
}

static void run(void *context)
{
    struct look *look = context;
    struct push_looks *looks = look->looks;

    look->result = look_at(look);
    pthread_mutex_lock(&looks->lock);
    look->done = true;
    pthread_cond_broadcast(&looks->looked);
    pthread_mutex_unlock(&looks->lock);
}

/* Trees for files of one size, as push_deltas() has it; the size is that of the hint which the last
 * bytes have left. 0, or there is no telling. */
static int choose(const struct push_looks *looks, uint64_t size, const struct digest *last,
                  enum push_base_kind *out_kind, uint64_t *out_bytes)
{
    cleanup(buf_release) struct buf hint = buf_init(HINT_CACHE_LARGEST + DIGEST_SIZE);
    struct merkle_shape shape;
    struct chunk_list_shape list;

    if (merkle_shape_of(size, &shape, NULL) < 0)
        return -EINVAL;
    *out_kind = PUSH_BASE_TREE;
    *out_bytes = shape.object_size;
    if (hint_cache_get(looks->cache, last, push_base_hint(PUSH_BASE_TREE), &hint)) {
        if (hint.size == shape.object_size)
            return 0;
    } else {
        buf_clear(&hint);
        if (!hint_cache_get(looks->cache, last, push_base_hint(PUSH_BASE_LIST), &hint) ||
            chunk_list_shape_of(buf_span(&hint), &list, NULL) < 0)
            return -ENOENT;
        if (list.size == size)
            return 0;
    }
    *out_kind = PUSH_BASE_LIST;
    *out_bytes = size / LIST_SHARE;
    return 0;
}

void push_looks_add(struct push_looks *looks, const struct scan_entry *entry,
                    const struct digest *last)
{
    static const struct digest none;
    struct look *look = &looks->looks[looks->count];
    uint64_t bytes;

    if (looks->count == LOOKS_MAX || looks->cache == NULL || entry->size < PUSH_LOOKS_FILE_MIN ||
        digest_equal(last, &none))
        return;
    *look = (struct look){ .looks = looks, .entry = entry, .size = entry->size };
    if (choose(looks, entry->size, last, &look->kind, &bytes) < 0 ||
        looks->bytes + bytes > PUSH_LOOKS_BYTES ||
        (looks->workers == NULL && workers_new(&looks->workers, 1, LOOKS_MAX, NULL) < 0))
        return;
    looks->bytes += bytes;
    look->own = buf_init(HINT_CACHE_LARGEST);
    looks->count++;
    workers_submit(looks->workers, run, look);
}

/* Once it is over: whether it is one of the file as it was hashed, of this kind, and not taken. */
static bool wait_for(struct look *look, const struct scan_entry *entry, enum push_base_kind kind)
{
    struct push_looks *looks = look->looks;

    if (look->entry != entry || look->kind != kind)
        return false;
    pthread_mutex_lock(&looks->lock);
    while (!look->done)
        pthread_cond_wait(&looks->looked, &looks->lock);
    pthread_mutex_unlock(&looks->lock);
    return look->result == 0 && look->stamp == entry->stamp && look->own.size > 0;
}

bool push_looks_take(struct push_looks *looks, const struct scan_entry *entry,
                     enum push_base_kind kind, struct buf *out)
{
    for (size_t i = 0; looks != NULL && i < looks->count; i++) {
        struct look *look = &looks->looks[i];

        if (!wait_for(look, entry, kind))
            continue;
        if (kind == PUSH_BASE_LIST)
            chunk_list_set_blob(look->own.bytes, &entry->sha256);
        buf_release(out);
        *out = look->own;
        look->own = buf_init(0);
        return true;
    }
    return false;
}
