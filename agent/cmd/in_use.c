/* SPDX-License-Identifier: MIT */
#include "agent/cmd/in_use.h"

#include <errno.h>

#include "agent/cmd/command.h"
#include "agent/cmd/job.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/platform.h"
#include "common/client/api_hosts.h"

#define HOST_NAME_ROOM 256

void in_use_say(struct job *job, const char *project, const char *app, const char *version,
                const char *path)
{
    const struct output *output = &job->command->output;
    const char *host = settings_text(job->configuration.settings, "host");
    cleanup_memory char *place = NULL;
    char system_name[HOST_NAME_ROOM];
    struct api_in_use what = { host, NULL, project, app, version };
    struct error err = { 0 };
    int r = directory_real_path(path, &place, &err);

    if (host == NULL) {
        platform_host_name(system_name, sizeof(system_name));
        what.host = system_name;
    }
    what.place = place;
    if (r == 0)
        r = api_hosts_say_pulled(job->session.client, &what, &err);
    if (r == 0 || r == -ECANCELED)
        return;
    error_prefix(&err, r, "the server was not told that this version is in use here");
    if (r == -ENOENT)
        output_detail(output, "%s", err.text);
    else
        output_warning(output, err.text);
}
