/* SPDX-License-Identifier: MIT */
#include "agent/cmd/version_act.h"

#include <errno.h>

#include "agent/cmd/command.h"
#include "agent/cmd/job.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/options.h"
#include "common/client/api_acts.h"
#include "common/codec/json.h"
#include "common/model/problem.h"

#define OUTPUT_MAX (64 * 1024)

static bool is_meant(enum version_act kind, const struct version_ref *ref)
{
    if (ref->path.size > 0)
        return false;
    if (kind == ACT_ON_APP)
        return ref->kind == VERSION_REF_APP;
    if (kind == ACT_ON_ANY_PLACE)
        return ref->kind == VERSION_REF_PROJECT || ref->kind == VERSION_REF_APP ||
               ref->kind == VERSION_REF_VERSION;
    return ref->kind == VERSION_REF_VERSION ||
           (kind == ACT_ON_ANY_VERSION && ref->kind != VERSION_REF_PROJECT &&
            ref->kind != VERSION_REF_APP) ||
           (kind == ACT_ON_VERSION_OR_CHANNEL && ref->kind == VERSION_REF_CHANNEL);
}

int version_act_parse(struct job *job, enum version_act kind, struct version_ref *out,
                      struct error *err)
{
    static const char *const forms[] = { [ACT_ON_VERSION] = "P/A/V by its exact name",
                                         [ACT_ON_VERSION_OR_CHANNEL] = "P/A/V or P/A@CHANNEL",
                                         [ACT_ON_ANY_VERSION] = "P/A/V, P/A/latest or P/A@CHANNEL",
                                         [ACT_ON_APP] = "P/A",
                                         [ACT_ON_ANY_PLACE] = "P/A/V by its exact name, P/A or P" };
    const char *said = options_operand(job->command->options, 0);
    int r = version_ref_parse(span_text(said), out, err);

    if (r == 0 && !is_meant(kind, out))
        r = error_set(err, -EINVAL, "this takes %s, not \"%s\"", forms[kind], said);
    return job_failed(job, r, EXIT_USAGE);
}

static void write_name(const struct version_ref *ref, const char *version, struct buf *out)
{
    buf_format(out, "%s/%s/%s\n", ref->project, ref->app, version);
}

int version_act_write_promoted(struct job *job, const struct version_ref *ref, const char *moved,
                               const struct api_promoted *promoted, struct error *err)
{
    cleanup(buf_release) struct buf out = buf_init(OUTPUT_MAX);
    struct json_writer writer = json_writer_init(&out);
    const struct api_channel *channel = &promoted->channel;

    if (!job->command->output.json) {
        write_name(ref, channel->version, &out);
        return job_write(job, &out, err);
    }
    json_begin_object(&writer, NULL);
    json_text(&writer, "project", ref->project);
    json_text(&writer, "app", ref->app);
    json_text(&writer, "version", channel->version);
    json_text(&writer, "channel", channel->name);
    json_text(&writer, "previous", channel->previous[0] != '\0' ? channel->previous : NULL);
    json_text(&writer, "state", promoted->moved ? moved : "current");
    json_end(&writer);
    buf_add_byte(&out, '\n');
    return job_write(job, &out, err);
}

int version_act_write(struct job *job, const struct version_ref *ref, const char *state,
                      struct error *err)
{
    cleanup(buf_release) struct buf out = buf_init(OUTPUT_MAX);
    struct json_writer writer = json_writer_init(&out);

    if (!job->command->output.json) {
        write_name(ref, ref->version, &out);
        return job_write(job, &out, err);
    }
    json_begin_object(&writer, NULL);
    json_text(&writer, "project", ref->project);
    json_text(&writer, "app", ref->app);
    json_text(&writer, "version", ref->version);
    json_text(&writer, "state", state);
    json_end(&writer);
    buf_add_byte(&out, '\n');
    return job_write(job, &out, err);
}
