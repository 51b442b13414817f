/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "agent/cmd/command.h"
#include "agent/cmd/job.h"
#include "agent/cmd/version_act.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/options.h"
#include "common/client/api_acts.h"
#include "common/client/api_deletion.h"
#include "common/codec/json.h"
#include "common/model/problem.h"

#define OUTPUT_MAX (64 * 1024 * 1024)

/* That more goes than one version has to be said, and a script that says it deletes no version: so
 * neither is done for the other because a name was empty. */
static int parse(struct job *job, struct version_ref *ref, struct error *err)
{
    const bool recursive = options_has(job->command->options, "recursive");
    int r = version_act_parse(job, ACT_ON_ANY_PLACE, ref, err);

    if (r < 0)
        return r;
    if (ref->kind == VERSION_REF_VERSION && recursive)
        r = error_set(err, -EINVAL, "--recursive is of apps and projects, not of versions");
    if (ref->kind != VERSION_REF_VERSION && !recursive)
        r = error_set(err, -EINVAL, "%s is %s: --recursive deletes it with all that is in it",
                      options_operand(job->command->options, 0),
                      ref->kind == VERSION_REF_APP ? "an app" : "a project");
    return job_failed(job, r, EXIT_USAGE);
}

static void write_json(const struct version_ref *ref, const struct api_deletion *done,
                       struct buf *out)
{
    struct json_writer writer = json_writer_init(out);

    json_begin_object(&writer, NULL);
    json_text(&writer, "project", ref->project);
    if (ref->kind == VERSION_REF_APP)
        json_text(&writer, "app", ref->app);
    json_text(&writer, "state", "trashed");
    json_integer(&writer, "trashed", (int64_t)done->trashed);
    json_integer(&writer, "apps", (int64_t)done->apps);
    json_begin_array(&writer, "versions");
    for (size_t i = 0; i < done->version_count; i++)
        json_text(&writer, NULL, done->versions[i]);
    json_end(&writer);
    json_end(&writer);
    buf_add_byte(out, '\n');
}

static int write_deletion(struct job *job, const struct version_ref *ref,
                          const struct api_deletion *done, struct error *err)
{
    cleanup(buf_release) struct buf out = buf_init(OUTPUT_MAX);

    if (job->command->output.json) {
        write_json(ref, done, &out);
        return job_write(job, &out, err);
    }
    for (size_t i = 0; i < done->version_count; i++)
        buf_format(&out, "%s\n", done->versions[i]);
    version_ref_format(ref, &out);
    buf_add_byte(&out, '\n');
    return job_write(job, &out, err);
}

static int delete_place(struct job *job, const struct version_ref *ref, bool force,
                        struct error *err)
{
    cleanup(api_deletion_release) struct api_deletion done = { .trashed = 0 };
    int r = api_deletion_run(job->session.client, ref->project,
                             ref->kind == VERSION_REF_APP ? ref->app : NULL, force, &done, err);

    return r < 0 ? r : write_deletion(job, ref, &done, err);
}

static int delete_version(struct job *job, const struct version_ref *ref, bool force,
                          struct error *err)
{
    cleanup(api_version_release) struct api_version version = { 0 };
    int r = api_version_delete(job->session.client, ref->project, ref->app, ref->version, force,
                               &version, err);

    return r < 0 ? r : version_act_write(job, ref, "trashed", err);
}

static int throw_away(struct job *job, struct error *err)
{
    const bool force = options_has(job->command->options, "force");
    struct version_ref ref;
    int r = parse(job, &ref, err);

    if (r == 0)
        r = job_open(job, err);
    if (r < 0)
        return r;
    r = ref.kind == VERSION_REF_VERSION ? delete_version(job, &ref, force, err)
                                        : delete_place(job, &ref, force, err);
    return force ? r : job_advise(r, "--force throws it away all the same", err);
}

int command_delete(struct command *command, struct error *err)
{
    return job_run(command, throw_away, err);
}
