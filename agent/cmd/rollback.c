/* SPDX-License-Identifier: MIT */
#include "agent/cmd/command.h"
#include "agent/cmd/job.h"
#include "agent/cmd/version_act.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/options.h"
#include "common/client/api_acts.h"

#include <errno.h>
#include <string.h>

/*
 * Which one stood there before. Said with the request it may be repeated when its answer is lost:
 * a second rollback to nothing in particular would undo the first. A token that may promote and not
 * pull cannot look; the server then goes back to the one before as it stands there.
 */
static int find_previous(struct job *job, const char *channel, const struct version_ref *ref,
                         char out[VERSION_TEXT_SIZE], struct error *err)
{
    cleanup(api_channels_release) struct api_channels channels = { .items = NULL };
    const struct api_channel *found;
    int r = api_channels_get(job->session.client, ref->project, ref->app, &channels, err);

    out[0] = '\0';
    if (r < 0)
        return r == -EACCES ? 0 : r;
    found = api_channels_find(&channels, channel != NULL ? channel : CHANNEL_DEFAULT);
    if (found != NULL)
        memcpy(out, found->previous, sizeof(found->previous));
    return 0;
}

static int rollback(struct job *job, struct error *err)
{
    const struct options *options = job->command->options;
    char previous[VERSION_TEXT_SIZE] = "";
    struct version_ref ref;
    struct api_promotion promotion = { .project = ref.project,
                                       .app = ref.app,
                                       .channel = options_get(options, "channel"),
                                       .version = options_get(options, "to"),
                                       .note = options_get(options, "note") };
    struct api_promoted promoted;
    int r = version_act_parse(job, ACT_ON_APP, &ref, err);

    if (r == 0)
        r = job_open(job, err);
    if (r == 0 && promotion.version == NULL)
        r = find_previous(job, promotion.channel, &ref, previous, err);
    if (r < 0)
        return r;
    if (previous[0] != '\0')
        promotion.version = previous;
    r = api_rollback(job->session.client, &promotion, &promoted, err);
    return r < 0 ? r : version_act_write_promoted(job, &ref, "rolled-back", &promoted, err);
}

int command_rollback(struct command *command, struct error *err)
{
    return job_run(command, rollback, err);
}
