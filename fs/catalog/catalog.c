/* SPDX-License-Identifier: MIT */
#include "fs/catalog/catalog.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/map.h"
#include "common/base/memory.h"
#include "common/net/http_loop.h"

struct waiter {
    catalog_done *done; /* NULL: nobody, the list is all */
    void *context;
    uint64_t deadline_ms;
    struct waiter *next;
};

struct place {
    struct catalog *catalog;
    char *project, *app;
    struct catalog_list *list; /* NULL: none yet */
    uint64_t answered_ms;      /* when list or failure came; 0: never */
    struct error failure;      /* of the last answer; code 0: it was a list */
    bool fixed;                /* by only_...: never asked for */
    bool busy;                 /* a fetch runs or is about to be started */
    struct waiter *waiters;
    struct http_post post;
};

struct catalog {
    struct catalog_options options;
    pthread_mutex_t lock; /* of the map and what the places hold */
    struct map places;
    int64_t last_changed_ns; /* times that directories show go forward only */
    atomic_int last_result;
};

static uint64_t now_ms(const struct catalog *catalog)
{
    return catalog->options.clock_ms != NULL ? catalog->options.clock_ms() : clock_monotonic_ms();
}

static struct place *place_free(struct place *place)
{
    if (place == NULL)
        return NULL;
    catalog_list_unref(place->list);
    memory_free(place->project);
    memory_free(place->app);
    return memory_free(place);
}

static struct place *place_new(struct catalog *catalog, const char *project, const char *app)
{
    struct place *place = memory_new(sizeof(*place));

    if (place == NULL)
        return NULL;
    place->catalog = catalog;
    if (project != NULL)
        place->project = memory_text(project);
    if (app != NULL)
        place->app = memory_text(app);
    if ((project != NULL && place->project == NULL) || (app != NULL && place->app == NULL))
        return place_free(place);
    return place;
}

/* Names have no space (names.h). */
static void add_key(struct buf *key, const char *project, const char *app)
{
    buf_format(key, "%s %s", project != NULL ? project : "", app != NULL ? app : "");
}

/* Under the lock. NULL: out of memory. */
static struct place *place_at(struct catalog *catalog, const char *project, const char *app)
{
    cleanup(buf_release) struct buf key = buf_init(1024);
    struct place *place;

    add_key(&key, project, app);
    if (buf_check(&key, NULL) < 0)
        return NULL;
    place = map_get(&catalog->places, buf_span(&key));
    if (place != NULL)
        return place;
    place = place_new(catalog, project, app);
    if (place != NULL && map_set(&catalog->places, buf_span(&key), place, NULL) < 0)
        return place_free(place);
    return place;
}

static bool is_fresh(const struct place *place)
{
    return place->fixed || (place->answered_ms != 0 &&
                            now_ms(place->catalog) - place->answered_ms < CATALOG_FRESH_MS);
}

/* No request is worth it: the answer was given just now, or a refusal not long ago. */
static bool is_certain(const struct place *place)
{
    uint64_t limit_ms = place->failure.code < 0 ? CATALOG_FRESH_MS : CATALOG_CERTAIN_MS;

    return place->fixed ||
           (place->answered_ms != 0 && now_ms(place->catalog) - place->answered_ms < limit_ms);
}

static int64_t next_change_ns(struct catalog *catalog)
{
    struct timespec now;
    int64_t ns;

    clock_gettime(CLOCK_REALTIME, &now);
    ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    if (ns <= catalog->last_changed_ns)
        ns = catalog->last_changed_ns + 1;
    catalog->last_changed_ns = ns;
    return ns;
}

static int number_item(void *context, const struct catalog_item *item, uint64_t *out_node)
{
    struct place *place = context;
    struct catalog *catalog = place->catalog;

    return catalog->options.number(catalog->options.number_context, place->project, place->app,
                                   item, out_node);
}

/* A list like the one before keeps it, and with it the time of the directory. */
static int accept_list(struct place *place, struct catalog_list *list, struct error *err)
{
    struct catalog *catalog = place->catalog;
    int64_t changed_ns;
    int r;

    pthread_mutex_lock(&catalog->lock);
    changed_ns = next_change_ns(catalog);
    pthread_mutex_unlock(&catalog->lock);
    r = catalog_list_seal(list, number_item, place, changed_ns);
    if (r < 0) {
        catalog_list_unref(list);
        return error_set(err, r, "numbering names: %s", strerror(-r));
    }
    pthread_mutex_lock(&catalog->lock);
    if (place->list != NULL && catalog_list_equal(place->list, list)) {
        catalog_list_unref(list);
    } else {
        catalog_list_unref(place->list);
        place->list = list;
    }
    pthread_mutex_unlock(&catalog->lock);
    return 0;
}

static void tell(struct waiter *waiters, struct catalog_list *list, const struct error *err)
{
    while (waiters != NULL) {
        struct waiter *waiter = waiters;
        waiters = waiter->next;
        if (waiter->done != NULL)
            waiter->done(waiter->context, list, err);
        memory_free(waiter);
    }
}

static void finish(struct place *place, const struct error *failure)
{
    struct catalog *catalog = place->catalog;
    struct catalog_list *list = NULL;
    struct error err = { 0 };
    struct waiter *waiters;

    pthread_mutex_lock(&catalog->lock);
    place->busy = false;
    place->answered_ms = now_ms(catalog);
    place->failure = failure != NULL ? *failure : (struct error){ 0 };
    err = place->failure;
    waiters = place->waiters;
    place->waiters = NULL;
    if (failure == NULL)
        list = catalog_list_ref(place->list);
    pthread_mutex_unlock(&catalog->lock);
    atomic_store(&catalog->last_result, err.code);
    tell(waiters, list, failure != NULL ? &err : NULL);
    catalog_list_unref(list);
}

static void fetched(void *context, struct catalog_list *list, const struct error *err)
{
    struct place *place = context;
    struct error own = { 0 };

    if (list != NULL && accept_list(place, list, &own) < 0)
        finish(place, &own);
    else
        finish(place, list != NULL ? NULL : err);
}

/* The longest wait of those who ask counts. */
static uint64_t deadline_of(struct place *place)
{
    uint64_t deadline_ms = 0;

    pthread_mutex_lock(&place->catalog->lock);
    for (struct waiter *at = place->waiters; at != NULL; at = at->next)
        if (at->deadline_ms > deadline_ms)
            deadline_ms = at->deadline_ms;
    pthread_mutex_unlock(&place->catalog->lock);
    return deadline_ms;
}

static void start(void *context)
{
    struct place *place = context;
    const struct catalog_options *options = &place->catalog->options;
    struct error err = { 0 };

    if (options->fetch(options->fetch_context, place->project, place->app, deadline_of(place),
                       fetched, place, &err) < 0)
        finish(place, &err);
}

/* Ends a question that needs no request: from the loop's thread, like any other. */
static void answer(void *context)
{
    struct place *place = context;
    struct catalog *catalog = place->catalog;
    struct catalog_list *list;
    struct waiter *waiters;
    struct error err;

    pthread_mutex_lock(&catalog->lock);
    place->busy = false;
    waiters = place->waiters;
    place->waiters = NULL;
    err = place->failure;
    list = place->list != NULL && err.code == 0 ? catalog_list_ref(place->list) : NULL;
    pthread_mutex_unlock(&catalog->lock);
    tell(waiters, list, list == NULL ? &err : NULL);
    catalog_list_unref(list);
}

/* Takes the waiter over. */
static void queue(struct place *place, struct waiter *waiter)
{
    struct catalog *catalog = place->catalog;
    bool idle;

    waiter->next = place->waiters;
    place->waiters = waiter;
    idle = !place->busy;
    place->busy = true;
    if (!idle)
        return;
    place->post =
        (struct http_post){ .function = is_certain(place) ? answer : start, .context = place };
    http_loop_post_at(catalog->options.loop, &place->post);
}

int catalog_ask(struct catalog *catalog, const char *project, const char *app, uint64_t deadline_ms,
                catalog_done *done, void *context, struct error *err)
{
    struct waiter *waiter = memory_new(sizeof(*waiter));
    struct place *place = NULL;

    if (waiter == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    waiter->done = done;
    waiter->context = context;
    waiter->deadline_ms = deadline_ms;
    pthread_mutex_lock(&catalog->lock);
    place = place_at(catalog, project, app);
    if (place != NULL)
        queue(place, waiter);
    pthread_mutex_unlock(&catalog->lock);
    if (place == NULL) {
        memory_free(waiter);
        return error_set(err, -ENOMEM, "out of memory");
    }
    return 0;
}

struct catalog_list *catalog_peek(struct catalog *catalog, const char *project, const char *app,
                                  bool *out_fresh)
{
    struct catalog_list *list = NULL;
    struct place *place;

    *out_fresh = false;
    pthread_mutex_lock(&catalog->lock);
    place = place_at(catalog, project, app);
    if (place != NULL) {
        *out_fresh = is_fresh(place);
        list = place->list != NULL ? catalog_list_ref(place->list) : NULL;
    }
    pthread_mutex_unlock(&catalog->lock);
    return list;
}

void catalog_refresh(struct catalog *catalog, const char *project, const char *app,
                     uint64_t deadline_ms)
{
    struct place *place;
    bool wanted;

    pthread_mutex_lock(&catalog->lock);
    place = place_at(catalog, project, app);
    wanted = place != NULL && !place->busy && !is_fresh(place);
    pthread_mutex_unlock(&catalog->lock);
    /* Without memory for it the list stays old a little longer. */
    if (wanted)
        catalog_ask(catalog, project, app, deadline_ms, NULL, NULL, NULL);
}

/* The one name that `only` leaves at a place. */
static int fix_place(struct catalog *catalog, const char *project, const char *name,
                     struct error *err)
{
    struct catalog_list *list = catalog_list_new();
    struct place *place = place_at(catalog, project, NULL);

    if (list == NULL || place == NULL || catalog_list_add(list, name, 0, NULL) < 0) {
        catalog_list_unref(list);
        return error_set(err, -ENOMEM, "out of memory");
    }
    place->fixed = true;
    return accept_list(place, list, err);
}

int catalog_new(struct catalog **out_catalog, const struct catalog_options *options,
                struct error *err)
{
    struct catalog *catalog = memory_new(sizeof(*catalog));
    int r = 0;

    if (catalog == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    catalog->options = *options;
    catalog->places = map_init();
    pthread_mutex_init(&catalog->lock, NULL);
    if (options->only_project != NULL)
        r = fix_place(catalog, NULL, options->only_project, err);
    if (r == 0 && options->only_app != NULL)
        r = fix_place(catalog, options->only_project, options->only_app, err);
    if (r < 0) {
        catalog_free(catalog);
        return r;
    }
    *out_catalog = catalog;
    return 0;
}

struct catalog *catalog_free(struct catalog *catalog)
{
    static const struct error ended = { -ECANCELED, "the mount ends" };
    struct span key;
    size_t at = 0;
    void *value;

    if (catalog == NULL)
        return NULL;
    while (map_next(&catalog->places, &at, &key, &value)) {
        struct place *place = value;
        tell(place->waiters, NULL, &ended);
        place_free(place);
    }
    map_release(&catalog->places);
    pthread_mutex_destroy(&catalog->lock);
    return memory_free(catalog);
}

int catalog_last_result(struct catalog *catalog)
{
    return atomic_load(&catalog->last_result);
}

bool catalog_is_idle(struct catalog *catalog)
{
    struct span key;
    bool idle = true;
    size_t at = 0;
    void *value;

    pthread_mutex_lock(&catalog->lock);
    while (map_next(&catalog->places, &at, &key, &value))
        if (((struct place *)value)->busy)
            idle = false;
    pthread_mutex_unlock(&catalog->lock);
    return idle;
}
