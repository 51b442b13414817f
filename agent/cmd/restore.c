/* SPDX-License-Identifier: MIT */
#include "agent/cmd/command.h"
#include "agent/cmd/job.h"
#include "agent/cmd/version_act.h"
#include "common/base/cleanup.h"
#include "common/client/api_acts.h"

static int restore(struct job *job, struct error *err)
{
    cleanup(api_version_release) struct api_version version = { 0 };
    struct version_ref ref;
    int r = version_act_parse(job, ACT_ON_VERSION, &ref, err);

    if (r == 0)
        r = job_open(job, err);
    if (r == 0)
        r = api_version_restore(job->session.client, ref.project, ref.app, ref.version, &version,
                                err);
    return r < 0 ? r : version_act_write(job, &ref, "ready", err);
}

int command_restore(struct command *command, struct error *err)
{
    return job_run(command, restore, err);
}
