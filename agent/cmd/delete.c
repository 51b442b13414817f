/* SPDX-License-Identifier: MIT */
#include "agent/cmd/command.h"
#include "agent/cmd/job.h"
#include "agent/cmd/version_act.h"
#include "common/base/cleanup.h"
#include "common/base/options.h"
#include "common/client/api_acts.h"

static int throw_away(struct job *job, struct error *err)
{
    cleanup(api_version_release) struct api_version version = { 0 };
    struct version_ref ref;
    int r = version_act_parse(job, ACT_ON_VERSION, &ref, err);

    if (r == 0)
        r = job_open(job, err);
    if (r == 0)
        r = api_version_delete(job->session.client, ref.project, ref.app, ref.version,
                               options_has(job->command->options, "force"), &version, err);
    return r < 0 ? r : version_act_write(job, &ref, "trashed", err);
}

int command_delete(struct command *command, struct error *err)
{
    return job_run(command, throw_away, err);
}
