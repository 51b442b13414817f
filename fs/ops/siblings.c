/* SPDX-License-Identifier: MIT */
#include "fs/ops/siblings.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "common/base/memory.h"
#include "common/client/blob_fetch.h"
#include "common/client/tree_fetch.h"
#include "common/net/http_loop.h"

#define PLACES 32
#define WINDOW_FIRST 16
#define WINDOW_GROWS 4
#define PAUSE_MS 60000

struct place { /* a directory */
    uint64_t tree;
    uint32_t directory;
    size_t window;
    uint64_t used; /* by the clock below */
    bool is_asking;
};

struct siblings {
    struct http_loop *loop;
    struct blob_fetch *engine;
    pthread_mutex_t lock;
    uint64_t clock;
    uint64_t pause_until_ms;
    struct place places[PLACES];
};

/* One request, on its way to the loop, and until it is answered. */
struct asking {
    struct siblings *siblings;
    struct tree_mount *mount; /* a reference */
    uint64_t tree;
    uint32_t directory;
    struct blob_object *objects[SIBLINGS_MAX];
    size_t count;
    uint64_t bytes;
    struct http_post post;
};

struct siblings *siblings_new(struct http_loop *loop, struct blob_fetch *engine)
{
    struct siblings *siblings = memory_new(sizeof(*siblings));

    if (siblings == NULL)
        return NULL;
    siblings->loop = loop;
    siblings->engine = engine;
    pthread_mutex_init(&siblings->lock, NULL);
    return siblings;
}

struct siblings *siblings_free(struct siblings *siblings)
{
    if (siblings != NULL)
        pthread_mutex_destroy(&siblings->lock);
    return memory_free(siblings);
}

/* Places (locked) -------------------------------------------------------------------- */

static struct place *place_find(struct siblings *siblings, uint64_t tree, uint32_t directory)
{
    for (size_t i = 0; i < PLACES; i++) {
        struct place *place = &siblings->places[i];

        if (place->used > 0 && place->tree == tree && place->directory == directory)
            return place;
    }
    return NULL;
}

static void place_add(struct siblings *siblings, uint64_t tree, uint32_t directory)
{
    struct place *oldest = &siblings->places[0];

    for (size_t i = 1; i < PLACES; i++)
        if (siblings->places[i].used < oldest->used)
            oldest = &siblings->places[i];
    *oldest = (struct place){
        .tree = tree, .directory = directory, .window = WINDOW_FIRST, .used = ++siblings->clock
    };
}

/* How many are to be asked for now; 0: none. */
static size_t take_window(struct siblings *siblings, uint64_t tree, uint32_t directory)
{
    struct place *place;
    size_t window = 0;

    pthread_mutex_lock(&siblings->lock);
    place = place_find(siblings, tree, directory);
    if (place == NULL) {
        place_add(siblings, tree, directory);
    } else if (!place->is_asking && clock_monotonic_ms() >= siblings->pause_until_ms) {
        window = place->window;
        place->window = window * WINDOW_GROWS < SIBLINGS_MAX ? window * WINDOW_GROWS : SIBLINGS_MAX;
        place->is_asking = true;
        place->used = ++siblings->clock;
    }
    pthread_mutex_unlock(&siblings->lock);
    return window;
}

static void asking_free(struct asking *asking)
{
    struct siblings *siblings = asking->siblings;
    struct place *place;

    pthread_mutex_lock(&siblings->lock);
    place = place_find(siblings, asking->tree, asking->directory);
    if (place != NULL)
        place->is_asking = false;
    pthread_mutex_unlock(&siblings->lock);
    for (size_t i = 0; i < asking->count; i++)
        blob_object_unref(asking->objects[i]);
    tree_mount_unref(asking->mount);
    memory_free(asking);
}

/* Asking -------------------------------------------------------------------------------- */

/* What did not come is asked for by those who read it. */
static void answered(void *context, int result, const struct error *err)
{
    struct asking *asking = context;
    struct siblings *siblings = asking->siblings;

    if (result < 0) {
        pthread_mutex_lock(&siblings->lock);
        siblings->pause_until_ms = clock_monotonic_ms() + PAUSE_MS;
        pthread_mutex_unlock(&siblings->lock);
    }
    asking_free(asking);
}

static void ask(void *context)
{
    struct asking *asking = context;
    struct tree_fetch *fetch = tree_mount_fetch(asking->mount);
    struct blob_pack pack = { .project = tree_fetch_project(fetch),
                              .app = tree_fetch_app(fetch),
                              .version = tree_fetch_version(fetch),
                              .objects = asking->objects,
                              .count = asking->count,
                              .awaited = true,
                              .done = answered,
                              .context = asking };

    if (blob_fetch_pack(asking->siblings->engine, &pack, NULL) < 0)
        asking_free(asking);
}

static bool is_asked(const struct asking *asking, const struct blob_object *object)
{
    for (size_t i = 0; i < asking->count; i++)
        if (asking->objects[i] == object)
            return true;
    return false;
}

/* One more, when it is small, its digests are here, and it is not in the cache. */
static void add(struct asking *asking, uint64_t index)
{
    struct tree_fetch *fetch = tree_mount_fetch(asking->mount);
    struct blob_object *object = NULL;
    struct digest sha256, verity;
    struct tree_node node;

    if (tree_view_node(tree_mount_view(asking->mount), index, &node) < 0 ||
        node.kind != ENTRY_FILE || node.is_manifest || node.size == 0 || node.size > SIBLING_SIZE ||
        tree_fetch_digest(fetch, node.digest_index, &sha256, &verity) < 0 ||
        tree_fetch_object(fetch, &sha256, &verity, node.size, &object, NULL) < 0)
        return;
    if (is_asked(asking, object) || blob_entry_is_complete(blob_object_entry(object))) {
        blob_object_unref(object);
        return;
    }
    asking->objects[asking->count++] = object;
    asking->bytes += node.size;
}

/* The file itself first, then those behind it, then from the beginning. */
static void add_some(struct asking *asking, uint64_t index, size_t window)
{
    const struct tree *tree = &tree_mount_view(asking->mount)->tree;
    struct tree_record above = tree_record(tree, asking->directory);
    uint64_t at = index - above.first_child;

    for (uint32_t i = 0;
         i < above.child_count && asking->count < window && asking->bytes < SIBLINGS_BYTES; i++)
        add(asking, above.first_child + (at + i) % above.child_count);
}

void siblings_cold(struct siblings *siblings, struct tree_mount *mount, uint64_t index,
                   const struct tree_node *node)
{
    const struct known_version *facts = tree_fetch_facts(tree_mount_fetch(mount));
    uint64_t tree = bytes_u64(facts->tree.bytes);
    struct asking *asking;
    size_t window;

    if (siblings == NULL || node->size > SIBLING_SIZE || node->is_manifest)
        return;
    asking = memory_new(sizeof(*asking));
    if (asking == NULL)
        return;
    window = take_window(siblings, tree, node->parent);
    if (window == 0) {
        memory_free(asking);
        return;
    }
    asking->siblings = siblings;
    asking->mount = tree_mount_ref(mount);
    asking->tree = tree;
    asking->directory = node->parent;
    add_some(asking, index, window);
    if (asking->count < 2) {
        asking_free(asking);
        return;
    }
    asking->post = (struct http_post){ .function = ask, .context = asking };
    http_loop_post_at(siblings->loop, &asking->post);
}
