/* SPDX-License-Identifier: MIT */
#include "agent/cmd/command.h"
#include "agent/cmd/job.h"
#include "agent/cmd/version_act.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/options.h"
#include "common/client/api_acts.h"

static int promote(struct job *job, struct error *err)
{
    cleanup(buf_release) struct buf version = buf_init(256);
    const struct options *options = job->command->options;
    struct version_ref ref;
    struct api_promotion promotion = { .project = ref.project,
                                       .app = ref.app,
                                       .channel = options_get(options, "channel"),
                                       .expect = options_get(options, "expect"),
                                       .note = options_get(options, "note") };
    struct api_promoted promoted;
    int r = version_act_parse(job, ACT_ON_VERSION_OR_CHANNEL, &ref, err);

    if (r == 0)
        r = job_open(job, err);
    if (r < 0)
        return r;
    version_ref_format_version(&ref, &version);
    r = buf_check(&version, err);
    promotion.version = buf_text(&version);
    if (r == 0)
        r = api_promote(job->session.client, &promotion, &promoted, err);
    return r < 0 ? r : version_act_write_promoted(job, &ref, "promoted", &promoted, err);
}

int command_promote(struct command *command, struct error *err)
{
    return job_run(command, promote, err);
}
