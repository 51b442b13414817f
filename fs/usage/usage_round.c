/* SPDX-License-Identifier: MIT */
/* All that is in use gone over, on a worker, and what comes of it said to the server. */
#include <errno.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/random.h"
#include "common/base/workers.h"
#include "fs/usage/usage_private.h"

#define ROUND_MS 5000 /* from one time that everything is gone over to the next */
#define ROUND_LEAST_MS 100
#define SAVE_MS 300000      /* times alone are written down no oftener */
#define LOOKS_MISSED 3      /* so long a version counts as open */
#define LOOK_TAKES_MS 10000 /* and longer, since a look takes its time */

static uint32_t random_bits(void)
{
    uint32_t random = 0;

    random_bytes(&random, sizeof(random), NULL);
    return random;
}

/* Going over everything ------------------------------------------------------------ */

struct collecting {
    struct usage *usage;
    enum in_use_reason reason;
    uint64_t now_ms;
};

static void collect(void *context, const char *project, const char *app, const char *version)
{
    struct collecting *collecting = context;

    in_use_add(&collecting->usage->set, project, app, version, collecting->reason);
}

static int collect_use(void *context, const struct use *use)
{
    struct collecting *collecting = context;
    struct usage *usage = collecting->usage;
    const uint64_t open_ms = LOOKS_MISSED * usage->options.look_ms + LOOK_TAKES_MS;

    in_use_add(&usage->set, use->project, use->app, use->version, IN_USE_RECENT);
    if (use->seen_ms != 0 && collecting->now_ms - use->seen_ms <= open_ms)
        in_use_add(&usage->set, use->project, use->app, use->version, IN_USE_OPEN);
    return 0;
}

static void look_at_states(struct usage *usage)
{
    for (size_t i = 0; i < usage->set.count; i++) {
        struct in_use_item *item = &usage->set.items[i];

        item->state = usage->options.state(usage->options.state_context, item->names.project,
                                           item->names.app, item->names.version);
    }
}

void usage_save(struct usage *usage)
{
    struct error err = { 0 };

    atomic_store(&usage->is_new, false);
    if (uses_save(usage->uses, &err) < 0)
        log_debug("what is in use was not written down: %s", err.text);
}

static void gathered(void *context);

/* On a worker. */
static void gather(void *context)
{
    struct usage *usage = context;
    struct collecting collecting = { .usage = usage, .now_ms = clock_monotonic_ms() };

    uses_forget(usage->uses, clock_now_s() - (int64_t)(usage->options.kept_ms / 1000));
    in_use_release(&usage->set);
    for (size_t i = 0; i < usage->options.source_count; i++) {
        collecting.reason = usage->sources[i].reason;
        usage->sources[i].each(usage->sources[i].context, collect, &collecting);
    }
    uses_each(usage->uses, collect_use, &collecting);
    in_use_sort(&usage->set);
    if (usage->with_states)
        look_at_states(usage);
    if (atomic_load(&usage->is_new) || collecting.now_ms - usage->saved_ms >= SAVE_MS) {
        usage->saved_ms = collecting.now_ms;
        usage_save(usage);
    }
    usage->work_post = (struct http_post){ .function = gathered, .context = usage };
    http_loop_post_at(usage->options.loop, &usage->work_post);
}

/* Leases -------------------------------------------------------------------------- */

static uint64_t due_ms(struct usage *usage)
{
    uint64_t due;

    pthread_mutex_lock(&usage->lock);
    due = lease_book_due_ms(usage->book);
    pthread_mutex_unlock(&usage->lock);
    return due;
}

static bool is_saying(struct usage *usage)
{
    bool saying;

    pthread_mutex_lock(&usage->lock);
    saying = lease_book_is_saying(usage->book);
    pthread_mutex_unlock(&usage->lock);
    return saying;
}

static uint64_t round_ms(const struct usage *usage)
{
    const uint64_t quarter_ms = usage->options.kept_ms / 4;

    return quarter_ms > ROUND_MS         ? ROUND_MS
           : quarter_ms < ROUND_LEAST_MS ? ROUND_LEAST_MS
                                         : quarter_ms;
}

static void set_timer(struct usage *usage)
{
    const uint64_t now_ms = clock_monotonic_ms();
    uint64_t next_ms = now_ms + round_ms(usage);
    uint64_t due = usage->put == NULL ? due_ms(usage) : UINT64_MAX;

    if (atomic_load(&usage->ended))
        return;
    if (due < next_ms)
        next_ms = due;
    if (usage->is_wanted_again)
        next_ms = now_ms;
    http_timer_set(usage->options.loop, &usage->timer, next_ms);
}

/* The first of a row of failures is worth a line, and its end. */
static void tell_log(struct usage *usage, const struct api_leases_answer *answer)
{
    const bool is_failure = answer->code < 0 && answer->code != -ENOENT;

    if (is_failure && answer->refused == SIZE_MAX && !usage->has_warned)
        log_warning("the server was not told what is in use here: %s", answer->err.text);
    else if (answer->code == 0 && usage->has_warned)
        log_info("the server was told what is in use here");
    if (answer->refused == SIZE_MAX)
        usage->has_warned = is_failure;
}

static void answered(void *context, const struct api_leases_answer *answer)
{
    struct usage *usage = context;

    usage->put = NULL;
    if (atomic_load(&usage->ended))
        return;
    tell_log(usage, answer);
    pthread_mutex_lock(&usage->lock);
    lease_book_answer(usage->book, answer, clock_monotonic_ms(), clock_now_s(), random_bits());
    pthread_mutex_unlock(&usage->lock);
    set_timer(usage);
}

static void say(struct usage *usage)
{
    struct api_leases_answer failed = { .refused = SIZE_MAX };
    struct api_leases leases;

    pthread_mutex_lock(&usage->lock);
    failed.code = lease_book_next(usage->book, clock_monotonic_ms(), &leases, &failed.err);
    if (failed.code == 0)
        failed.code = api_leases_start(usage->options.client, &leases, answered, usage, &usage->put,
                                       &failed.err);
    pthread_mutex_unlock(&usage->lock);
    if (failed.code < 0)
        answered(usage, &failed);
}

static void gathered(void *context)
{
    struct usage *usage = context;
    const uint64_t now_ms = clock_monotonic_ms();

    usage->works = false;
    if (atomic_load(&usage->ended))
        return;
    pthread_mutex_lock(&usage->lock);
    lease_book_update(usage->book, &usage->set, now_ms, random_bits(), NULL);
    pthread_mutex_unlock(&usage->lock);
    /* What was due when the states were looked at. */
    if (usage->with_states && usage->put == NULL && due_ms(usage) <= now_ms)
        say(usage);
    set_timer(usage);
}

void usage_go_over(void *context)
{
    struct usage *usage = context;
    const bool is_due = usage->put == NULL && due_ms(usage) <= clock_monotonic_ms();

    if (usage->works || atomic_load(&usage->ended))
        return;
    if (is_due && is_saying(usage)) {
        say(usage);
        set_timer(usage);
        return;
    }
    usage->is_wanted_again = false;
    usage->with_states = is_due;
    usage->works = true;
    if (workers_try(usage->options.workers, gather, usage) < 0) {
        usage->works = false;
        http_timer_set(usage->options.loop, &usage->timer, clock_monotonic_ms() + ROUND_LEAST_MS);
    }
}

void usage_wake(void *context)
{
    struct usage *usage = context;

    atomic_store(&usage->wake_posted, false);
    usage->is_wanted_again = usage->works;
    usage_go_over(usage);
}

void usage_wake_soon(struct usage *usage)
{
    if (!atomic_load(&usage->ended) && !atomic_exchange(&usage->wake_posted, true))
        http_loop_post_at(usage->options.loop, &usage->wake_post);
}

void usage_start(struct usage *usage)
{
    usage_wake_soon(usage);
}
