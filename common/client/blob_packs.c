/* SPDX-License-Identifier: MIT */
/* Small objects, many in a request: into the cache, each against its own digests. */
#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/client/blob_fetch_private.h"
#include "common/client/pack_fetch.h"

struct pack_item {
    struct packing *packing;
    struct blob_object *object; /* a reference */
    struct http_post post;
    int result; /* of the cache */
    bool came;
    bool awaited; /* reads of it wait */
};

struct packing {
    struct blob_fetch *engine;
    struct blob_pack pack;
    struct pack_item *items;
    size_t next;              /* of those that may still come */
    struct pack_item *coming; /* the member at hand */
    uint32_t begun;           /* answers; more than one when the first broke off */
    _Atomic bool wrong;       /* a member did not verify */
    size_t posted;            /* loop thread: told of, and not yet taken note of */
    _Atomic size_t given;     /* ... by the thread */
    bool ended;
    int code;
    struct error err;
};

static void release(struct packing *packing)
{
    for (size_t i = 0; i < packing->pack.count; i++)
        blob_object_unref(packing->items[i].object);
    memory_free(packing->items);
    memory_free(packing);
}

/* The reads of it go their own way, or find it in the cache. */
static void let_go(struct pack_item *item)
{
    struct blob_object *object = item->object;

    if (!item->awaited)
        return;
    item->awaited = false;
    object->packs--;
    if (object->reads != NULL)
        object_advance(object);
}

static void end(struct packing *packing)
{
    blob_read_done *done = packing->pack.done;
    void *context = packing->pack.context;
    struct error err = packing->err;
    int code = packing->code;

    packing->engine->packs--;
    release(packing);
    if (done != NULL)
        done(context, code, code == 0 ? NULL : &err);
}

/* On a thread --------------------------------------------------------------- */

/* Members come in the order that was asked for. */
static int on_header(void *context, const struct digest *sha256, uint64_t size, bool *out_wanted,
                     struct error *err)
{
    struct packing *packing = context;

    packing->coming = NULL;
    for (size_t i = packing->next; i < packing->pack.count && packing->coming == NULL; i++) {
        struct pack_item *item = &packing->items[i];

        if (digest_equal(&item->object->key.name, sha256)) {
            packing->next = i + 1;
            packing->coming = item;
        }
    }
    *out_wanted = packing->coming != NULL && !packing->coming->came &&
                  packing->coming->object->key.size == size;
    return 0;
}

static void note_damage(struct packing *packing)
{
    engine_count_wrong(packing->engine, -EBADMSG);
    atomic_store(&packing->wrong, true);
}

static int on_member(void *context, const struct pack_member *member, struct error *err)
{
    struct packing *packing = context;
    struct pack_item *item = packing->coming;
    struct blob_entry *entry = item->object->entry;
    int r = member->damage != NULL ? -EBADMSG : 0;

    if (r == 0)
        r = blob_entry_verify(entry, 0, member->bytes.bytes, member->bytes.size, NULL);
    if (r < 0)
        note_damage(packing);
    else
        r = blob_entry_put(entry, 0, member->bytes.bytes, member->bytes.size);
    item->came = true;
    item->result = r;
    atomic_fetch_add(&packing->given, 1);
    http_loop_post_at(packing->engine->loop, &item->post);
    return 0;
}

/* On the loop --------------------------------------------------------------- */

static void item_came(void *context)
{
    struct pack_item *item = context;
    struct packing *packing = item->packing;

    let_go(item);
    packing->posted++;
    if (packing->ended && packing->posted == atomic_load(&packing->given))
        end(packing);
}

static void on_restart(void *context)
{
    struct packing *packing = context;

    packing->next = 0;
    packing->begun++;
}

/* Whose fault it was is known when one server gave it all. */
static void blame(struct packing *packing, const struct pack_fetch_end *told)
{
    struct api_client *client = packing->engine->client;
    char why[SERVER_CAUSE_SIZE];

    if (packing->begun > 1 || !atomic_load(&packing->wrong))
        return;
    (void)snprintf(why, sizeof(why), "%.100s sent a pack with wrong bytes",
                   api_client_server(client, told->server));
    api_client_note(client, told->server, SERVER_WRONG, why);
}

static void on_done(void *context, const struct pack_fetch_end *told)
{
    struct packing *packing = context;

    atomic_fetch_add(&packing->engine->fetched_bytes, told->received);
    if (told->code == -EBADMSG)
        note_damage(packing);
    blame(packing, told);
    packing->code = told->code;
    packing->err = told->err;
    for (size_t i = 0; i < packing->pack.count; i++)
        if (!packing->items[i].came)
            let_go(&packing->items[i]);
    packing->ended = true;
    if (packing->posted == atomic_load(&packing->given))
        end(packing);
}

static int fill(struct packing *packing, struct buf *digests, uint64_t *out_bytes)
{
    const struct blob_pack *pack = &packing->pack;

    *out_bytes = 0;
    packing->items = memory_array(pack->count, sizeof(*packing->items));
    if (packing->items == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < pack->count; i++) {
        struct pack_item *item = &packing->items[i];

        item->packing = packing;
        item->object = blob_object_ref(pack->objects[i]);
        item->post = (struct http_post){ .function = item_came, .context = item };
        buf_add(digests, item->object->key.name.bytes, DIGEST_SIZE);
        *out_bytes += item->object->key.size;
    }
    return buf_check(digests, NULL);
}

static int ask(struct packing *packing, struct span digests, uint64_t bytes, struct error *err)
{
    const struct blob_pack *pack = &packing->pack;
    struct pack_fetch_spec spec = { .client = packing->engine->client,
                                    .workers = packing->engine->pool,
                                    .project = pack->project,
                                    .app = pack->app,
                                    .version = pack->version,
                                    .digests = digests,
                                    .bytes = bytes,
                                    .member_size = BLOB_PIECE_SIZE,
                                    .once = pack->awaited,
                                    .ask = on_header,
                                    .member = on_member,
                                    .restart = on_restart,
                                    .done = on_done,
                                    .context = packing };

    return pack_fetch_start(&spec, NULL, err);
}

static void await(struct packing *packing)
{
    for (size_t i = 0; i < packing->pack.count; i++) {
        packing->items[i].awaited = true;
        packing->items[i].object->packs++;
    }
}

int blob_fetch_pack(struct blob_fetch *engine, const struct blob_pack *pack, struct error *err)
{
    cleanup(buf_release) struct buf digests = buf_init((size_t)BLOB_PACK_MAX * DIGEST_SIZE);
    struct blob_cache_stats stats;
    struct packing *packing;
    uint64_t bytes = 0;
    int r;

    blob_cache_stats(engine->cache, &stats);
    if (stats.degraded)
        return error_set(err, -ENOSPC, "the cache keeps nothing at the moment");
    if (engine->is_closing)
        return error_set(err, -ECANCELED, "the engine ends");
    packing = memory_new(sizeof(*packing));
    if (packing == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    packing->engine = engine;
    packing->pack = *pack;
    r = fill(packing, &digests, &bytes);
    if (r < 0)
        error_set(err, r, "out of memory");
    if (r == 0)
        r = ask(packing, buf_span(&digests), bytes, err);
    if (r < 0) {
        if (packing->items == NULL)
            packing->pack.count = 0;
        release(packing);
        return r;
    }
    packing->pack.objects = NULL;
    packing->pack.project = packing->pack.app = packing->pack.version = NULL;
    engine->packs++;
    atomic_fetch_add(&engine->requests, 1);
    if (pack->awaited)
        await(packing);
    return 0;
}

bool blob_fetch_is_busy(const struct blob_fetch *engine)
{
    return atomic_load(&engine->reads) > engine->backgrounds;
}
