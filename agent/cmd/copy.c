/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "agent/cmd/command.h"
#include "agent/cmd/job.h"
#include "agent/cmd/version_act.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/options.h"
#include "common/client/api_acts.h"
#include "common/model/problem.h"

/* P2/A2 or P2/A2/V2. */
static int parse_target(struct job *job, struct version_ref *out, struct error *err)
{
    const char *said = options_operand(job->command->options, 1);
    int r = version_ref_parse(span_text(said), out, err);

    if (r == 0 &&
        (out->path.size > 0 || (out->kind != VERSION_REF_APP && out->kind != VERSION_REF_VERSION)))
        r = error_set(err, -EINVAL, "a copy goes to P/A or P/A/V, not to \"%s\"", said);
    return job_failed(job, r, EXIT_USAGE);
}

static int copy(struct job *job, struct error *err)
{
    cleanup(api_version_release) struct api_version version = { 0 };
    struct version_ref from, to;
    bool created;
    int r = version_act_parse(job, ACT_ON_ANY_VERSION, &from, err);

    if (r == 0)
        r = parse_target(job, &to, err);
    if (r == 0)
        r = job_open(job, err);
    if (r == 0)
        r = api_version_copy(job->session.client, &from, to.project, to.app,
                             to.kind == VERSION_REF_VERSION ? to.version : NULL, &version, &created,
                             err);
    if (r < 0)
        return r;
    to.kind = VERSION_REF_VERSION;
    memcpy(to.version, version.record.version, sizeof(to.version));
    return version_act_write(job, &to, created ? "created" : "exists", err);
}

int command_copy(struct command *command, struct error *err)
{
    return job_run(command, copy, err);
}
