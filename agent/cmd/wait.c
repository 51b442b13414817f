/* SPDX-License-Identifier: MIT */
#include "agent/cmd/command.h"
#include "agent/cmd/job.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/number.h"
#include "common/base/options.h"
#include "common/client/api_hosts.h"
#include "common/client/api_versions.h"
#include "common/codec/json.h"
#include "common/model/names.h"
#include "common/model/problem.h"
#include "common/model/version_ref.h"
#include "common/net/http_loop.h"

#include <errno.h>
#include <string.h>

#define OUTPUT_MAX (64 * 1024 * 1024)
#define HOSTS_MOST 1000000
#define PAUSE_FIRST_MS 500
#define PAUSE_MOST_MS 10000

struct waiting {
    struct job *job;
    struct version_ref ref;
    char version[VERSION_TEXT_SIZE];
    uint64_t wanted;
    uint64_t deadline_ms; /* monotonic; UINT64_MAX: none */
    const char *limit;    /* as it was said */
    bool silent;
    struct buf hosts; /* that have it: names, each ended by a NUL, in order */
    uint64_t count, told;
};

/* The list goes by host: one that holds it at several places follows itself. */
static int add_host(void *context, const struct api_lease *lease, struct error *err)
{
    struct waiting *waiting = context;
    size_t size = strlen(lease->host) + 1;
    const struct buf *hosts = &waiting->hosts;

    if (lease->stale || strcmp(lease->version, waiting->version) != 0)
        return 0;
    if (hosts->size >= size && memcmp(hosts->bytes + hosts->size - size, lease->host, size) == 0 &&
        (hosts->size == size || hosts->bytes[hosts->size - size - 1] == '\0'))
        return 0;
    waiting->count++;
    buf_add(&waiting->hosts, lease->host, size);
    return buf_check(&waiting->hosts, err);
}

static void tell(struct waiting *waiting)
{
    struct error line = { 0 };

    if (waiting->silent || waiting->count == waiting->told)
        return;
    waiting->told = waiting->count;
    error_set(&line, -EAGAIN, "%llu of %llu hosts have %s/%s/%s",
              (unsigned long long)waiting->count, (unsigned long long)waiting->wanted,
              waiting->ref.project, waiting->ref.app, waiting->version);
    output_notice(&waiting->job->command->output, line.text);
}

static int look(struct waiting *waiting, struct error *err)
{
    int r;

    buf_clear(&waiting->hosts);
    waiting->count = 0;
    r = api_hosts_list(waiting->job->session.client, waiting->ref.project, waiting->ref.app,
                       waiting->version, add_host, waiting, err);
    if (r == 0)
        tell(waiting);
    return r;
}

static bool interrupted(void *context)
{
    const struct waiting *waiting = context;

    return api_client_is_interrupted(waiting->job->session.client);
}

/* -ECANCELED when the user does not want to wait. */
static int pause_for(struct waiting *waiting, uint64_t pause_ms, struct error *err)
{
    uint64_t until_ms = clock_monotonic_ms() + pause_ms;
    int r =
        http_loop_run_until(waiting->job->session.loop, interrupted, waiting,
                            until_ms < waiting->deadline_ms ? until_ms : waiting->deadline_ms, err);

    if (r == 0)
        return error_set(err, -ECANCELED, "interrupted");
    return r == -ETIMEDOUT ? 0 : r;
}

/* While there is time, a server that is away may come back. */
static bool may_pass(const struct waiting *waiting, int r)
{
    return (r == -EAGAIN || r == -ETIMEDOUT || r == -EIO) && waiting->deadline_ms != UINT64_MAX &&
           clock_monotonic_ms() < waiting->deadline_ms;
}

/* 0: so many have it, or the time is over: the count says which. */
static int wait_for_hosts(struct waiting *waiting, struct error *err)
{
    uint64_t pause_ms = PAUSE_FIRST_MS;
    int r;

    for (;;) {
        r = look(waiting, err);
        if (r < 0 && !may_pass(waiting, r))
            return r;
        if (r < 0)
            output_detail(&waiting->job->command->output, "%s", err == NULL ? "" : err->text);
        else if (waiting->count >= waiting->wanted || clock_monotonic_ms() >= waiting->deadline_ms)
            return 0;
        r = pause_for(waiting, pause_ms, err);
        if (r < 0)
            return r;
        pause_ms = pause_ms * 2 > PAUSE_MOST_MS ? PAUSE_MOST_MS : pause_ms * 2;
    }
}

static int parse(struct waiting *waiting, struct error *err)
{
    const struct options *options = waiting->job->command->options;
    const char *said = options_operand(options, 0);
    const char *hosts = options_get(options, "hosts");
    const char *progress = options_get(options, "progress");
    enum progress_mode mode = PROGRESS_AUTO;
    int r = version_ref_parse(span_text(said), &waiting->ref, err);

    if (r == 0 && (waiting->ref.kind == VERSION_REF_PROJECT ||
                   waiting->ref.kind == VERSION_REF_APP || waiting->ref.path.size > 0))
        r = error_set(err, -EINVAL, "wait takes P/A/V, P/A/latest or P/A@CHANNEL, not \"%s\"",
                      said);
    waiting->wanted = 1;
    if (r == 0 && hosts != NULL &&
        (number_parse(span_text(hosts), HOSTS_MOST, &waiting->wanted, NULL) < 0 ||
         waiting->wanted == 0))
        r = error_set(err, -EINVAL, "--hosts is a number from 1 to %d, not \"%s\"", HOSTS_MOST,
                      hosts);
    if (r == 0 && progress != NULL)
        r = progress_parse(progress, &mode, err);
    waiting->silent = mode == PROGRESS_NONE;
    return job_failed(waiting->job, r, EXIT_USAGE);
}

/* What bounds how long the server may be silent bounds here the whole. */
static int set_limit(struct waiting *waiting, struct error *err)
{
    uint64_t limit_ms;
    int r;

    waiting->limit = options_get(waiting->job->command->options, "timeout");
    waiting->deadline_ms = UINT64_MAX;
    if (waiting->limit == NULL)
        return 0;
    r = number_parse_duration(span_text(waiting->limit), INT64_MAX, &limit_ms, err);
    if (r < 0)
        return job_failed(waiting->job, r, EXIT_USAGE);
    waiting->deadline_ms = clock_monotonic_ms() + limit_ms;
    return 0;
}

/* Which version it is, once: another one that takes its place is another one. */
static int resolve(struct waiting *waiting, struct error *err)
{
    cleanup(buf_release) struct buf name = buf_init(256);
    cleanup(api_version_release) struct api_version version = { 0 };
    int r;

    version_ref_format_version(&waiting->ref, &name);
    r = buf_check(&name, err);
    if (r == 0)
        r = api_version_get(waiting->job->session.client, waiting->ref.project, waiting->ref.app,
                            buf_text(&name), &version, err);
    if (r == 0)
        memcpy(waiting->version, version.record.version, strlen(version.record.version) + 1);
    return r;
}

static int write_result(struct waiting *waiting, struct error *err)
{
    cleanup(buf_release) struct buf out = buf_init(OUTPUT_MAX);
    struct json_writer writer = json_writer_init(&out);
    const bool json = waiting->job->command->output.json;
    const char *at = (const char *)waiting->hosts.bytes;
    const char *end = at + waiting->hosts.size;

    if (json) {
        json_begin_object(&writer, NULL);
        json_text(&writer, "project", waiting->ref.project);
        json_text(&writer, "app", waiting->ref.app);
        json_text(&writer, "version", waiting->version);
        json_integer(&writer, "wanted", (int64_t)waiting->wanted);
        json_begin_array(&writer, "hosts");
    }
    for (; at != end; at += strlen(at) + 1) {
        if (json)
            json_text(&writer, NULL, at);
        else
            buf_format(&out, "%s\n", at);
    }
    if (json) {
        json_end(&writer);
        json_integer(&writer, "duration_ms", (int64_t)job_elapsed_ms(waiting->job));
        json_end(&writer);
        buf_add_byte(&out, '\n');
    }
    return job_write(waiting->job, &out, err);
}

static int wait_and_tell(struct waiting *waiting, struct error *err)
{
    int r = parse(waiting, err);

    if (r == 0)
        r = job_configure(waiting->job, ".", CONFIGURATION_OPTIONAL, err);
    if (r == 0)
        r = set_limit(waiting, err);
    if (r == 0)
        r = job_connect(waiting->job, err);
    if (r == 0)
        r = resolve(waiting, err);
    if (r == 0)
        r = wait_for_hosts(waiting, err);
    if (r == 0)
        r = write_result(waiting, err);
    if (r < 0 || waiting->count >= waiting->wanted)
        return r;
    r = error_set(err, -ETIMEDOUT, "%llu of %llu hosts have %s/%s/%s after %s",
                  (unsigned long long)waiting->count, (unsigned long long)waiting->wanted,
                  waiting->ref.project, waiting->ref.app, waiting->version, waiting->limit);
    return job_failed(waiting->job, r, EXIT_OTHER);
}

int command_wait(struct command *command, struct error *err)
{
    cleanup(job_release) struct job job;
    struct waiting waiting = { .job = &job, .hosts = buf_init(OUTPUT_MAX), .told = UINT64_MAX };
    int r;

    job_init(&job, command);
    r = wait_and_tell(&waiting, err);
    buf_release(&waiting.hosts);
    return job_exit(&job, r);
}
