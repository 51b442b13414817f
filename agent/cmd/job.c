/* SPDX-License-Identifier: MIT */
#include "agent/cmd/job.h"

#include <errno.h>
#include <string.h>

#include "agent/cli/interrupt.h"
#include "agent/cmd/command.h"
#include "agent/cmd/path_text.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/options.h"
#include "common/base/platform.h"
#include "common/model/problem.h"
#include "common/net/http_loop.h"

#define THREADS_MAX 16

static void warn(void *context, const char *text)
{
    output_warning(context, text);
}

static void complain(void *context, const char *text)
{
    output_error(text);
}

static void detail(void *context, const char *text)
{
    output_detail(context, "%s", text);
}

void job_init(struct job *job, struct command *command)
{
    size_t threads = platform_cpu_count();

    *job = (struct job){ .command = command, .began_ms = clock_monotonic_ms() };
    job->transfer = (struct transfer){
        .threads = threads < 2             ? 2
                   : threads > THREADS_MAX ? THREADS_MAX
                                           : threads,
        .stop = interrupt_flag(),
        .meter = &job->meter,
        .warn = warn,
        .complain = complain,
        .warn_context = &command->output,
        .detail = detail,
        .detail_context = &command->output,
    };
}

void job_release(struct job *job)
{
    job_hide_progress(job);
    session_close(&job->session);
    configuration_release(&job->configuration);
}

int job_configure(struct job *job, const char *directory, enum configuration_need need,
                  struct error *err)
{
    const struct settings *settings;
    int exit_code;
    int r = configuration_load(job->command->options, directory, need, &job->configuration,
                               &exit_code, err);

    if (r < 0)
        return job_failed(job, r, exit_code);
    settings = job->configuration.settings;
    job->transfer.concurrency = (size_t)settings_number(settings, "concurrency");
    job->transfer.part_size = settings_number(settings, "chunk_size");
    job->transfer.retry = retry_policy_default();
    job->transfer.retry.tries = (uint32_t)settings_number(settings, "retries") + 1;
    return 0;
}

int job_connect(struct job *job, struct error *err)
{
    int exit_code;
    int r = session_open(&job->configuration, job->lasting, &job->session, &exit_code, err);

    if (r < 0)
        return job_failed(job, r, exit_code);
    job->transfer.client = job->session.client;
    return 0;
}

int job_open(struct job *job, struct error *err)
{
    int r = job_configure(job, ".", CONFIGURATION_OPTIONAL, err);

    return r < 0 ? r : job_connect(job, err);
}

void job_again(struct job *job)
{
    job->began_ms = clock_monotonic_ms();
    job->received_before = http_loop_received_bytes(job->session.loop);
    job->exit_code = 0;
    job->transfer.exit_code = 0;
}

uint64_t job_received_bytes(const struct job *job)
{
    return http_loop_received_bytes(job->session.loop) - job->received_before;
}

static void sample(void *context, struct progress_sample *out)
{
    static const char *const labels[] = { [METER_SCANNING] = "scanning",
                                          [METER_ASKING] = "asking the server",
                                          [METER_SENDING] = "sending",
                                          [METER_FETCHING] = "fetching",
                                          [METER_WRITING] = "writing" };
    struct meter *meter = context;

    *out = (struct progress_sample){
        .label = labels[atomic_load(&meter->phase)],
        .files_done = atomic_load(&meter->files_done),
        .files_total = atomic_load(&meter->files_total),
        .bytes_done = atomic_load(&meter->bytes_done),
        .bytes_total = atomic_load(&meter->bytes_total),
    };
}

int job_show_progress(struct job *job, struct error *err)
{
    const char *text = options_get(job->command->options, "progress");
    enum progress_mode mode = PROGRESS_AUTO;
    int r = text != NULL ? progress_parse(text, &mode, err) : 0;

    if (r < 0)
        return job_failed(job, r, EXIT_USAGE);
    if (job->command->output.quiet)
        mode = PROGRESS_NONE;
    return progress_start(mode, sample, &job->meter, &job->progress, err);
}

void job_hide_progress(struct job *job)
{
    job->progress = progress_stop(job->progress);
}

static int need_name(struct job *job, const char *key, const char **out, struct error *err)
{
    *out = settings_text(job->configuration.settings, key);
    if (*out != NULL)
        return 0;
    return job_failed(job,
                      error_set(err, -EINVAL, "no %s is named: %s in %s, or --%s", key, key,
                                CONFIGURATION_NAME, key),
                      EXIT_CONFIGURATION);
}

int job_names(struct job *job, const char **out_project, const char **out_app, struct error *err)
{
    int r = need_name(job, "project", out_project, err);

    return r < 0 ? r : need_name(job, "app", out_app, err);
}

int job_patterns(struct job *job, const char *key, struct pattern_list *list, struct error *err)
{
    const struct settings *settings = job->configuration.settings;
    const char *item;
    int r = 0;

    for (size_t i = 0; r == 0 && (item = settings_list(settings, key, i)) != NULL; i++)
        r = pattern_list_add(list, item, err);
    if (strcmp(key, "ignore") != 0)
        return r;
    for (size_t i = 0; r == 0 && (item = options_list(job->command->options, "ignore", i)) != NULL;
         i++)
        r = pattern_list_add(list, item, err);
    return r;
}

int job_advise(int r, const char *advice, struct error *err)
{
    struct error refusal;

    if (r != -EBUSY || err == NULL)
        return r;
    refusal = *err;
    return error_set(err, r, "%.180s; %s", refusal.text, advice);
}

int job_failed(struct job *job, int r, int exit_code)
{
    if (r < 0 && r != -ENOMEM && r != -ECANCELED)
        job->exit_code = exit_code;
    return r;
}

int job_local(struct job *job, int r)
{
    return job_failed(job, r, EXIT_LOCAL);
}

int job_local_below(struct job *job, int r, const char *directory, struct error *err)
{
    bool is_whole = path_is_separator(err->text[0]); /* of a place of our own */

    if (r >= 0 || job->transfer.exit_code != EXIT_LOCAL || is_whole || strcmp(directory, ".") == 0)
        return r;
    return error_prefix(err, r, "%.*s", (int)path_trim(directory, strlen(directory)), directory);
}

int job_write(struct job *job, struct buf *result, struct error *err)
{
    return job_local(job, output_write(result, err));
}

uint64_t job_elapsed_ms(const struct job *job)
{
    return clock_monotonic_ms() - job->began_ms;
}

int job_exit(const struct job *job, int r)
{
    if (r >= 0)
        return EXIT_DONE;
    if (r == -ECANCELED || atomic_load(interrupt_flag()))
        return EXIT_INTERRUPTED;
    if (job->exit_code != 0)
        return job->exit_code;
    if (job->transfer.exit_code != 0)
        return job->transfer.exit_code;
    /* What is local has been marked: this is the server's disk, a 507. */
    return r == -ENOSPC ? EXIT_UNREACHABLE : problem_exit_code(r);
}

int job_exit_resumable(const struct job *job, int r, struct error *err)
{
    int exit_code = job_exit(job, r);

    if (exit_code == EXIT_INTERRUPTED)
        error_set(err, -ECANCELED, "interrupted: the same command goes on where this one stopped");
    return exit_code;
}

int job_run(struct command *command, job_function *function, struct error *err)
{
    cleanup(job_release) struct job job;
    int r;

    job_init(&job, command);
    r = function(&job, err);
    return job_exit(&job, r);
}
