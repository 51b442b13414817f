/* SPDX-License-Identifier: MIT */
#include "fs/tree_mount/tree_set.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/map.h"
#include "common/base/memory.h"
#include "common/client/known_versions.h"
#include "common/client/tree_fetch.h"
#include "common/net/http_loop.h"
#include "fs/tree_mount/tree_opening.h"

struct shown {   /* one slot */
    char *names; /* "project\0app\0version\0" */
    const char *project, *app, *version;
    uint32_t slot;
    uint64_t file_count, bytes;
    uint64_t used_ms;
    struct tree_mount *mount; /* NULL: closed */
};

struct wait {
    tree_set_done *done;
    void *context;
    uint64_t deadline_ms;
    struct wait *next;
};

/* A version that is being opened; it is in the table of names for as long. */
struct opening {
    struct tree_set *set;
    char *names;
    const char *project, *app, *version;
    struct wait *waits;
    struct http_post post;
};

struct tree_set {
    struct tree_set_options options;
    pthread_mutex_t lock;
    struct shown **shown; /* in the order of first sight */
    size_t shown_count, shown_capacity;
    struct map by_slot;  /* u32 -> shown */
    struct map openings; /* names -> opening */
    struct opening_place place;
};

int tree_set_new(struct tree_set **out_set, const struct tree_set_options *options,
                 struct error *err)
{
    struct tree_set *set = memory_new(sizeof(*set));

    if (set == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    set->options = *options;
    set->by_slot = map_init();
    set->openings = map_init();
    set->place = (struct opening_place){ .loop = options->loop,
                                         .engine = options->engine,
                                         .client = options->client,
                                         .known = options->known,
                                         .workers = options->workers,
                                         .records = options->records,
                                         .temporary = options->temporary };
    pthread_mutex_init(&set->lock, NULL);
    *out_set = set;
    return 0;
}

static struct shown *shown_free(struct shown *shown)
{
    if (shown == NULL)
        return NULL;
    tree_mount_unref(shown->mount);
    memory_free(shown->names);
    return memory_free(shown);
}

static struct opening *opening_free(struct opening *opening)
{
    if (opening != NULL)
        memory_free(opening->names);
    return memory_free(opening);
}

static void tell(struct wait *waits, struct tree_mount *mount, uint32_t slot,
                 const struct error *err)
{
    while (waits != NULL) {
        struct wait *wait = waits;
        waits = wait->next;
        wait->done(wait->context, mount, slot, err);
        memory_free(wait);
    }
}

struct tree_set *tree_set_free(struct tree_set *set)
{
    static const struct error ended = { -ECANCELED, "the mount ends" };
    struct span key;
    size_t at = 0;
    void *value;

    if (set == NULL)
        return NULL;
    while (map_next(&set->openings, &at, &key, &value)) {
        struct opening *opening = value;
        tell(opening->waits, NULL, 0, &ended);
        opening_free(opening);
    }
    for (size_t i = 0; i < set->shown_count; i++)
        shown_free(set->shown[i]);
    memory_free(set->shown);
    map_release(&set->by_slot);
    map_release(&set->openings);
    pthread_mutex_destroy(&set->lock);
    return memory_free(set);
}

static struct shown *find(const struct tree_set *set, uint32_t slot)
{
    return map_get(&set->by_slot, span_of(&slot, sizeof(slot)));
}

struct tree_mount *tree_set_get(struct tree_set *set, uint32_t slot)
{
    struct tree_mount *mount = NULL;
    struct shown *shown;

    pthread_mutex_lock(&set->lock);
    shown = find(set, slot);
    if (shown != NULL && shown->mount != NULL) {
        mount = tree_mount_ref(shown->mount);
        shown->used_ms = clock_monotonic_ms();
    }
    pthread_mutex_unlock(&set->lock);
    return mount;
}

bool tree_set_was_open(struct tree_set *set, uint32_t slot)
{
    bool was;

    pthread_mutex_lock(&set->lock);
    was = find(set, slot) != NULL;
    pthread_mutex_unlock(&set->lock);
    return was;
}

/* Three texts in one block; NULL: out of memory. */
static char *join(const char *project, const char *app, const char *version, size_t *out_size)
{
    cleanup(buf_release) struct buf names = buf_init(4096);

    buf_add(&names, project, strlen(project) + 1);
    buf_add(&names, app, strlen(app) + 1);
    buf_add(&names, version, strlen(version) + 1);
    *out_size = names.size;
    return buf_take(&names);
}

static void split(const char *names, const char **out_project, const char **out_app,
                  const char **out_version)
{
    *out_project = names;
    *out_app = *out_project + strlen(*out_project) + 1;
    *out_version = *out_app + strlen(*out_app) + 1;
}

static struct span names_span(const struct opening *opening)
{
    return span_of(opening->names,
                   (size_t)(opening->version - opening->names) + strlen(opening->version) + 1);
}

static int add_shown(struct tree_set *set, const struct opening *opening, uint32_t slot,
                     struct shown **out_shown)
{
    struct shown *shown = memory_new(sizeof(*shown));
    struct shown **grown;
    size_t size;

    if (shown == NULL)
        return -ENOMEM;
    shown->names = join(opening->project, opening->app, opening->version, &size);
    shown->slot = slot;
    if (set->shown_count == set->shown_capacity) {
        grown = memory_resize(set->shown, set->shown_capacity * 2 + 16, sizeof(*grown));
        if (grown != NULL) {
            set->shown = grown;
            set->shown_capacity = set->shown_capacity * 2 + 16;
        }
    }
    if (shown->names == NULL || set->shown_count == set->shown_capacity ||
        map_set(&set->by_slot, span_of(&slot, sizeof(slot)), shown, NULL) < 0) {
        shown_free(shown);
        return -ENOMEM;
    }
    split(shown->names, &shown->project, &shown->app, &shown->version);
    set->shown[set->shown_count++] = shown;
    *out_shown = shown;
    return 0;
}

/* The open one that was not used for longest, but for `kept`; NULL when all is within the
 * bounds. */
static struct shown *one_too_many(const struct tree_set *set, const struct shown *kept)
{
    struct shown *oldest = NULL;
    uint64_t bytes = 0;
    size_t count = 0;

    for (size_t i = 0; i < set->shown_count; i++) {
        struct shown *shown = set->shown[i];
        if (shown->mount == NULL)
            continue;
        count++;
        bytes += tree_mount_bytes(shown->mount);
        if (shown != kept && (oldest == NULL || shown->used_ms < oldest->used_ms))
            oldest = shown;
    }
    return count > TREE_SET_OPEN_MAX || bytes > TREE_SET_BYTES_MAX ? oldest : NULL;
}

static void close_idle(struct tree_set *set, const struct shown *kept)
{
    struct shown *idle;

    while ((idle = one_too_many(set, kept)) != NULL)
        idle->mount = tree_mount_unref(idle->mount);
}

/* Takes the mount over. */
static int keep(struct tree_set *set, const struct opening *opening, struct tree_mount *mount,
                uint32_t *out_slot, struct error *err)
{
    const struct known_version *facts = tree_fetch_facts(tree_mount_fetch(mount));
    struct shown *shown;
    int r = set->options.slot(set->options.slot_context, opening->project, opening->app,
                              opening->version, &facts->tree, out_slot, err);

    if (r < 0) {
        tree_mount_unref(mount);
        return r;
    }
    pthread_mutex_lock(&set->lock);
    shown = find(set, *out_slot);
    if (shown == NULL)
        r = add_shown(set, opening, *out_slot, &shown);
    if (r == 0) {
        tree_mount_unref(shown->mount);
        shown->mount = mount;
        shown->used_ms = clock_monotonic_ms();
        shown->file_count = facts->file_count;
        shown->bytes = facts->bytes;
        close_idle(set, shown);
    }
    pthread_mutex_unlock(&set->lock);
    if (r < 0) {
        tree_mount_unref(mount);
        return error_set(err, r, "out of memory");
    }
    return 0;
}

static void opened(void *context, struct tree_mount *mount, const struct error *failure)
{
    struct opening *opening = context;
    struct tree_set *set = opening->set;
    struct error err = { 0 };
    uint32_t slot = 0;
    struct wait *waits;

    if (mount != NULL)
        tree_mount_ref(mount);
    if (mount != NULL && keep(set, opening, tree_mount_ref(mount), &slot, &err) < 0)
        failure = &err;
    pthread_mutex_lock(&set->lock);
    map_remove(&set->openings, names_span(opening));
    waits = opening->waits;
    pthread_mutex_unlock(&set->lock);
    tell(waits, failure == NULL ? mount : NULL, slot, failure);
    if (failure == NULL && set->options.opened != NULL)
        set->options.opened(set->options.opened_context, opening->project, opening->app,
                            opening->version);
    tree_mount_unref(mount);
    opening_free(opening);
}

static void start(void *context)
{
    struct opening *opening = context;
    struct tree_set *set = opening->set;
    uint64_t deadline_ms = 0;
    struct error err = { 0 };
    int r;

    pthread_mutex_lock(&set->lock);
    for (struct wait *at = opening->waits; at != NULL; at = at->next)
        if (at->deadline_ms > deadline_ms)
            deadline_ms = at->deadline_ms;
    pthread_mutex_unlock(&set->lock);
    r = tree_opening_start(&set->place, opening->project, opening->app, opening->version,
                           deadline_ms, opened, opening, &err);
    if (r < 0)
        opened(opening, NULL, &err);
}

/* Under the lock. Takes `names` over when it makes an opening. */
static struct opening *opening_of(struct tree_set *set, char **names, size_t size, bool *out_new)
{
    struct opening *opening = map_get(&set->openings, span_of(*names, size));

    *out_new = false;
    if (opening != NULL)
        return opening;
    opening = memory_new(sizeof(*opening));
    if (opening == NULL || map_set(&set->openings, span_of(*names, size), opening, NULL) < 0)
        return memory_free(opening);
    opening->set = set;
    opening->names = take_pointer(names);
    split(opening->names, &opening->project, &opening->app, &opening->version);
    *out_new = true;
    return opening;
}

int tree_set_open(struct tree_set *set, const char *project, const char *app, const char *version,
                  uint64_t deadline_ms, tree_set_done *done, void *context, struct error *err)
{
    cleanup_memory char *names = NULL;
    struct wait *wait = memory_new(sizeof(*wait));
    struct opening *opening = NULL;
    bool is_new = false;
    size_t size = 0;

    names = join(project, app, version, &size);
    if (wait != NULL && names != NULL) {
        *wait = (struct wait){ done, context, deadline_ms, NULL };
        pthread_mutex_lock(&set->lock);
        opening = opening_of(set, &names, size, &is_new);
        if (opening != NULL) {
            wait->next = opening->waits;
            opening->waits = wait;
        }
        pthread_mutex_unlock(&set->lock);
    }
    if (opening == NULL) {
        memory_free(wait);
        return error_set(err, -ENOMEM, "out of memory");
    }
    if (is_new) {
        opening->post = (struct http_post){ .function = start, .context = opening };
        http_loop_post_at(set->options.loop, &opening->post);
    }
    return 0;
}

int tree_set_walk(struct tree_set *set, tree_set_each *each, void *context)
{
    int r = 0;

    for (size_t i = 0; r == 0; i++) {
        struct tree_set_version version;
        struct shown *shown = NULL;
        pthread_mutex_lock(&set->lock);
        if (i < set->shown_count) {
            shown = set->shown[i];
            version = (struct tree_set_version){ shown->project, shown->app,        shown->version,
                                                 shown->slot,    shown->file_count, shown->bytes,
                                                 shown->mount };
            if (version.mount != NULL)
                tree_mount_ref(version.mount);
        }
        pthread_mutex_unlock(&set->lock);
        if (shown == NULL)
            break;
        r = each(context, &version);
        tree_mount_unref(version.mount);
    }
    return r;
}

bool tree_set_is_idle(struct tree_set *set)
{
    bool idle;

    pthread_mutex_lock(&set->lock);
    idle = set->openings.count == 0;
    pthread_mutex_unlock(&set->lock);
    return idle;
}
