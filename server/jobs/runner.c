/* SPDX-License-Identifier: MIT */
#include "server/jobs/runner.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/base/platform.h"
#include "server/service/access.h"
#include "server/service/collection.h"
#include "server/service/delta_later.h"
#include "server/service/event_hub.h"
#include "server/service/event_sequence.h"
#include "server/service/history.h"
#include "server/service/jobs.h"
#include "server/service/leases.h"
#include "server/service/pushes.h"
#include "server/service/record_store.h"
#include "server/service/retention_schedule.h"
#include "server/service/services.h"
#include "server/service/tombstone_clearing.h"

static int flush_used(struct services *services, size_t *out_count, struct error *err)
{
    *out_count = 0;
    return access_flush_used(services, err);
}

/* A thread each: what computes for seconds, or works for hours, holds up none of the others. */
enum lane_name { LANE_QUICK, LANE_DELTAS, LANE_JOBS, LANE_COUNT };

/* One line a step. */
struct step {
    const char *name;
    uint64_t first_ms;  /* after the start */
    uint64_t period_ms; /* between two starts of it */
    bool woken;         /* runner_wake() makes it due */
    enum lane_name lane;
    int (*run)(struct services *services, size_t *out_count, struct error *err);
};

static const struct step steps[] = {
    { "events-number", 0, 15000, true, LANE_QUICK, event_sequence_step },
    { "events-tell", 0, 1000, true, LANE_QUICK, event_hub_step },
    { "pushes-expire", 1000, 60000, false, LANE_QUICK, pushes_expire },
    { "leases-expire", 3000, 60000, false, LANE_QUICK, leases_expire },
    { "tombstones-clear", 2000, 60000, false, LANE_QUICK, tombstone_clearing_step },
    { "tokens-used", 30000, 30000, false, LANE_QUICK, flush_used },
    { "records-purged", 3000, 60000, false, LANE_QUICK, record_store_tell_purged },
    { "collection-ask", 60000, 600000, false, LANE_QUICK, collection_ask },
    { "retention-schedule", 15000, 60000, false, LANE_QUICK, retention_schedule_step },
    { "history-forget", 45000, 3600000, false, LANE_QUICK, history_forget },
    { "records-complete", 5000, 24 * 3600000ull, false, LANE_QUICK, record_store_complete },
    { "jobs-work", 500, 5000, true, LANE_JOBS, jobs_work },
    { "deltas-improve", 2000, 2000, false, LANE_DELTAS, delta_later_step },
};
#define STEP_COUNT (sizeof(steps) / sizeof(steps[0]))

/* One thread and the steps that it runs. */
struct lane {
    struct runner *runner;
    enum lane_name name;
    pthread_t thread;
};

struct runner {
    struct services *services;
    struct lane lanes[LANE_COUNT];
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopping;
    uint64_t due_ms[STEP_COUNT]; /* monotonic */
};

static int run_step(const struct step *step, struct services *services, struct error *err)
{
    size_t count = 0;
    int r = step->run(services, &count, err);

    if (r == 0 && count > 0)
        log_debug("job %s: %zu", step->name, count);
    return r;
}

/* The step of the lane that is due first. Each lane has one. */
static size_t first_due(const struct runner *runner, enum lane_name lane)
{
    size_t index = STEP_COUNT;

    for (size_t i = 0; i < STEP_COUNT; i++) {
        if (steps[i].lane == lane &&
            (index == STEP_COUNT || runner->due_ms[i] < runner->due_ms[index]))
            index = i;
    }
    return index;
}

/* Waits until a step is due; its index, or STEP_COUNT when the runner stops. */
static size_t next_step(struct runner *runner, enum lane_name lane)
{
    size_t index = STEP_COUNT;
    struct timespec until;
    uint64_t now;

    pthread_mutex_lock(&runner->lock);
    while (!runner->stopping) {
        index = first_due(runner, lane);
        now = clock_monotonic_ms();
        if (runner->due_ms[index] <= now) {
            runner->due_ms[index] = now + steps[index].period_ms;
            break;
        }
        until.tv_sec = (time_t)(runner->due_ms[index] / 1000);
        until.tv_nsec = (long)(runner->due_ms[index] % 1000) * 1000000;
        pthread_cond_timedwait(&runner->changed, &runner->lock, &until);
        index = STEP_COUNT;
    }
    pthread_mutex_unlock(&runner->lock);
    return index;
}

static void *lane_main(void *context)
{
    const struct lane *lane = context;
    size_t index;

    while ((index = next_step(lane->runner, lane->name)) < STEP_COUNT) {
        struct error err = { 0 };

        if (run_step(&steps[index], lane->runner->services, &err) < 0)
            log_warning("job %s: %s", steps[index].name, err.text);
    }
    return NULL;
}

static void event_seen(void *context)
{
    runner_wake(context);
}

/* Ends the first `count` threads and releases the runner. */
static struct runner *end(struct runner *runner, size_t count)
{
    pthread_mutex_lock(&runner->lock);
    runner->stopping = true;
    pthread_cond_broadcast(&runner->changed);
    pthread_mutex_unlock(&runner->lock);
    for (size_t i = 0; i < count; i++)
        pthread_join(runner->lanes[i].thread, NULL);
    pthread_cond_destroy(&runner->changed);
    pthread_mutex_destroy(&runner->lock);
    return memory_free(runner);
}

int runner_start(struct services *services, struct runner **out_runner, struct error *err)
{
    struct runner *runner = memory_new(sizeof(*runner));
    pthread_condattr_t attributes;
    uint64_t now = clock_monotonic_ms();

    if (runner == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    runner->services = services;
    for (size_t i = 0; i < STEP_COUNT; i++)
        runner->due_ms[i] = now + steps[i].first_ms;
    pthread_mutex_init(&runner->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&runner->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    for (size_t i = 0; i < LANE_COUNT; i++) {
        struct lane *lane = &runner->lanes[i];
        int r;

        *lane = (struct lane){ .runner = runner, .name = (enum lane_name)i };
        r = platform_thread_start(&lane->thread, lane_main, lane);
        if (r != 0) {
            end(runner, i);
            return error_system(err, r, "start a thread of the jobs");
        }
    }
    services_on_event(services, event_seen, runner);
    *out_runner = runner;
    return 0;
}

void runner_wake(struct runner *runner)
{
    pthread_mutex_lock(&runner->lock);
    for (size_t i = 0; i < STEP_COUNT; i++) {
        if (steps[i].woken)
            runner->due_ms[i] = 0;
    }
    pthread_cond_broadcast(&runner->changed);
    pthread_mutex_unlock(&runner->lock);
}

int runner_run_once(struct services *services, struct error *err)
{
    int result = 0;

    for (size_t i = 0; i < STEP_COUNT; i++) {
        int r = run_step(&steps[i], services, result == 0 ? err : NULL);

        if (r < 0 && result == 0)
            result = error_prefix(err, r, "%s", steps[i].name);
    }
    return result;
}

struct runner *runner_stop(struct runner *runner)
{
    if (runner == NULL)
        return NULL;
    services_on_event(runner->services, NULL, NULL);
    return end(runner, LANE_COUNT);
}
