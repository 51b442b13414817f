/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "agent/cmd/command.h"
#include "agent/cmd/job.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/options.h"
#include "common/client/api_cleanup.h"
#include "common/codec/json.h"
#include "common/model/problem.h"
#include "common/model/version_ref.h"

#define OUTPUT_MAX (64 * 1024 * 1024)

static int parse(struct job *job, struct version_ref *ref, struct error *err)
{
    const char *said = options_operand(job->command->options, 0);
    int r = version_ref_parse(span_text(said), ref, err);

    if (r == 0 && ref->kind != VERSION_REF_APP)
        r = error_set(err, -EINVAL, "cleanup takes P/A, not \"%s\"", said);
    return job_failed(job, r, EXIT_USAGE);
}

static void write_json(const struct version_ref *ref, const struct api_cleanup *done, bool dry,
                       struct buf *out)
{
    struct json_writer writer = json_writer_init(out);

    json_begin_object(&writer, NULL);
    json_text(&writer, "project", ref->project);
    json_text(&writer, "app", ref->app);
    json_text(&writer, "state", dry ? "dry-run" : "done");
    json_integer(&writer, "trashed", (int64_t)done->trashed);
    json_integer(&writer, "bytes", (int64_t)done->bytes);
    json_begin_object(&writer, "kept");
    for (size_t i = 0; i < done->kept_count; i++)
        json_integer(&writer, done->kept[i].reason, (int64_t)done->kept[i].count);
    json_end(&writer);
    if (done->safety_limit[0] != '\0')
        json_text(&writer, "safety_limit", done->safety_limit);
    json_begin_array(&writer, "versions");
    for (size_t i = 0; i < done->version_count; i++)
        json_text(&writer, NULL, done->versions[i]);
    json_end(&writer);
    json_end(&writer);
    buf_add_byte(out, '\n');
}

static int write_result(struct job *job, const struct version_ref *ref,
                        const struct api_cleanup *done, bool dry, struct error *err)
{
    cleanup(buf_release) struct buf out = buf_init(OUTPUT_MAX);

    if (job->command->output.json) {
        write_json(ref, done, dry, &out);
        return job_write(job, &out, err);
    }
    for (size_t i = 0; i < done->version_count; i++)
        buf_format(&out, "%s/%s/%s\n", ref->project, ref->app, done->versions[i]);
    return job_write(job, &out, err);
}

static int run(struct job *job, struct error *err)
{
    const bool dry = options_has(job->command->options, "dry-run");
    const bool force = options_has(job->command->options, "force");
    cleanup(api_cleanup_release) struct api_cleanup done = { .trashed = 0 };
    struct version_ref ref;
    int r = parse(job, &ref, err);

    if (r == 0)
        r = job_open(job, err);
    if (r < 0)
        return r;
    r = dry ? api_cleanup_look(job->session.client, ref.project, ref.app, &done, err)
            : api_cleanup_run(job->session.client, ref.project, ref.app, force, &done, err);
    if (r == 0)
        r = write_result(job, &ref, &done, dry, err);
    if (r == 0 && done.safety_limit[0] != '\0' && !force)
        r = error_set(err, -EBUSY, "%s", done.safety_limit);
    return force ? r : job_advise(r, "--force does it all the same", err);
}

int command_cleanup(struct command *command, struct error *err)
{
    return job_run(command, run, err);
}
