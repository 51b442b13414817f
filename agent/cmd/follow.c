/* SPDX-License-Identifier: MIT */
#include "agent/cmd/follow.h"

#include <errno.h>

#include "agent/cli/interrupt.h"
#include "agent/cmd/command.h"
#include "agent/cmd/job.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/random.h"
#include "common/client/event_follow.h"
#include "common/model/problem.h"
#include "common/net/http_loop.h"

#define TYPES "version.promoted,version.rolled-back"
#define FAILURES_TOLD 3
#define PAUSE_MIN_MS 1000
#define PAUSE_MAX_MS 60000

CLEANUP_DEFINE(event_follow, event_follow_stop);

struct following {
    const struct follow_options *options;
    bool is_wanted; /* a turn, for something that was told */
    bool is_known;  /* the wait knows of it */
    bool is_retry;  /* or because the last one failed, at due_ms */
    uint64_t due_ms;
    uint64_t calm_ms;  /* no turn before that time */
    uint32_t failures; /* in a row */
    bool has_ended;
    struct error why;
};

static void on_event(void *context, struct span type, struct span data)
{
    struct following *following = context;

    if (event_follow_is_of_channel(data, following->options->channel))
        following->is_wanted = true;
}

static void on_anew(void *context)
{
    struct following *following = context;

    following->is_wanted = true;
}

static void on_end(void *context, const struct error *err)
{
    struct following *following = context;

    following->has_ended = true;
    following->why = *err;
}

/* A server that is started again is back before anybody needs to know. */
static void on_pause(void *context, unsigned failures, uint64_t wait_ms, const struct error *err)
{
    const struct following *following = context;
    const struct output *output = &following->options->job->command->output;

    if (failures == FAILURES_TOLD)
        output_warning(output, err->text);
    else
        output_detail(output, "%s; again in %llu ms", err->text, (unsigned long long)wait_ms);
}

static bool is_time(void *context)
{
    const struct following *following = context;

    return (following->is_wanted && !following->is_known) || following->has_ended ||
           atomic_load(interrupt_flag());
}

static void pause_after(struct following *following)
{
    const struct retry_policy policy = { .tries = UINT32_MAX,
                                         .base_ms = PAUSE_MIN_MS,
                                         .max_ms = PAUSE_MAX_MS };
    uint64_t wait_ms = PAUSE_MAX_MS;
    uint32_t random = 0;

    random_bytes(&random, sizeof(random), NULL);
    following->failures += following->failures < 100;
    retry_wait(&policy, following->failures + 1, 0, random, &wait_ms);
    following->is_retry = true;
    following->due_ms = clock_monotonic_ms() + wait_ms;
}

static int turn(struct following *following, struct error *err)
{
    const struct follow_options *options = following->options;
    bool again = true;
    int r, exit_code;

    following->is_wanted = false;
    following->is_retry = false;
    following->calm_ms = clock_monotonic_ms() + PAUSE_MIN_MS;
    job_again(options->job);
    r = options->turn(options->context, &again, err);
    exit_code = job_exit(options->job, r);
    if (r >= 0 || (r == -ENOENT && exit_code == EXIT_NOT_FOUND)) {
        following->failures = 0;
        return 0;
    }
    if (exit_code == EXIT_INTERRUPTED || exit_code == EXIT_NOT_ALLOWED)
        return r;
    output_error(err->text);
    if (again)
        pause_after(following);
    return 0;
}

static bool is_turn_due(const struct following *following, uint64_t now_ms)
{
    return (following->is_wanted && now_ms >= following->calm_ms) ||
           (following->is_retry && now_ms >= following->due_ms);
}

static uint64_t min_ms(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Until something happens that was not known, or the time has come for what was. */
static int wait_once(struct following *following, struct error *err)
{
    const struct follow_options *options = following->options;
    uint64_t deadline_ms = options->renewal_ms(options->context);
    int r;

    if (following->is_retry)
        deadline_ms = min_ms(deadline_ms, following->due_ms);
    if (following->is_wanted)
        deadline_ms = min_ms(deadline_ms, following->calm_ms);
    following->is_known = following->is_wanted;
    r = http_loop_run_until(options->job->session.loop, is_time, following, deadline_ms, err);
    if (r == -ETIMEDOUT)
        r = 0;
    if (r == 0 && atomic_load(interrupt_flag()))
        return error_set(err, -ECANCELED, "interrupted");
    if (r == 0 && following->has_ended) {
        *err = following->why;
        return following->why.code;
    }
    return r;
}

static int wait_for_turn(struct following *following, struct error *err)
{
    const struct follow_options *options = following->options;
    int r = wait_once(following, err);

    while (r == 0 && !is_turn_due(following, clock_monotonic_ms())) {
        if (clock_monotonic_ms() >= options->renewal_ms(options->context))
            options->renew(options->context);
        r = wait_once(following, err);
    }
    return r;
}

int follow_run(const struct follow_options *options, struct error *err)
{
    struct following following = { .options = options };
    cleanup(cleanup_event_follow) struct event_follow *follow = NULL;
    const struct event_follow_spec spec = {
        .project = options->project,
        .app = options->app,
        .types = TYPES,
        .on_event = on_event,
        .on_anew = on_anew,
        .on_end = on_end,
        .on_pause = on_pause,
        .context = &following,
    };
    int r;

    job_again(options->job);
    r = event_follow_start(options->job->session.client, &spec, &follow, err);
    while (r == 0) {
        r = wait_for_turn(&following, err);
        if (r == 0)
            r = turn(&following, err);
    }
    return r;
}
