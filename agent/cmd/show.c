/* SPDX-License-Identifier: MIT */
#include "agent/cmd/command.h"
#include "agent/cmd/job.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/options.h"
#include "common/client/api_versions.h"
#include "common/model/problem.h"
#include "common/model/version_ref.h"

#include <errno.h>

#define OUTPUT_MAX (16 * 1024 * 1024)

static int parse(struct job *job, struct version_ref *ref, struct error *err)
{
    const char *said = options_operand(job->command->options, 0);
    int r = version_ref_parse(span_text(said), ref, err);

    if (r == 0 &&
        (ref->kind == VERSION_REF_PROJECT || ref->kind == VERSION_REF_APP || ref->path.size > 0))
        r = error_set(err, -EINVAL, "show takes P/A/V, P/A/latest or P/A@CHANNEL, not \"%s\"",
                      said);
    return job_failed(job, r, EXIT_USAGE);
}

static int show(struct job *job, struct error *err)
{
    cleanup(buf_release) struct buf out = buf_init(OUTPUT_MAX);
    cleanup(buf_release) struct buf name = buf_init(256);
    cleanup(api_version_release) struct api_version version = { 0 };
    struct version_ref ref;
    int r = parse(job, &ref, err);

    if (r == 0)
        r = job_configure(job, ".", CONFIGURATION_OPTIONAL, err);
    if (r == 0)
        r = job_connect(job, err);
    if (r < 0)
        return r;
    version_ref_format_version(&ref, &name);
    r = buf_check(&name, err);
    if (r == 0)
        r = api_version_get(job->session.client, ref.project, ref.app, buf_text(&name), &version,
                            err);
    if (r < 0)
        return r;
    if (job->command->output.json) {
        buf_add_span(&out, span_trim(buf_span(&version.json)));
        buf_add_byte(&out, '\n');
    } else {
        record_write(&version.record, &out);
        buf_format(&out, "state: %s\n", version.trashed ? "trashed" : "ready");
        if (version.pinned)
            buf_add_text(&out, "pinned: true\n");
    }
    return job_write(job, &out, err);
}

int command_show(struct command *command, struct error *err)
{
    cleanup(job_release) struct job job;
    int r;

    job_init(&job, command);
    r = show(&job, err);
    return job_exit(&job, r);
}
