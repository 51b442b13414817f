/* SPDX-License-Identifier: MIT */
#include "agent/cmd/in_use.h"

#include <errno.h>
#include <string.h>

#include "agent/cmd/command.h"
#include "agent/cmd/job.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/platform.h"
#include "common/base/random.h"
#include "common/client/api_hosts.h"

#define HOST_NAME_ROOM 256
#define AGAIN_MS 60000 /* after a failure at first */

struct in_use in_use_of(struct job *job, const char *project, const char *app, const char *path)
{
    return (struct in_use){
        .job = job,
        .project = project,
        .app = app,
        .path = path,
        .pace = { .again_ms = AGAIN_MS, .due_ms = UINT64_MAX },
    };
}

static uint32_t random_bits(void)
{
    uint32_t random = 0;

    random_bytes(&random, sizeof(random), NULL);
    return random;
}

typedef int saying(struct api_client *client, const struct api_in_use *what,
                   uint32_t *out_renew_in_s, struct error *err);

static int say(struct in_use *self, saying *function, uint32_t *out_renew_in_s, struct error *err)
{
    const struct job *job = self->job;
    const char *host = settings_text(job->configuration.settings, "host");
    cleanup_memory char *place = NULL;
    char system_name[HOST_NAME_ROOM];
    struct api_in_use what = { host, NULL, self->project, self->app, self->version };
    int r = directory_real_path(self->path, &place, err);

    if (host == NULL) {
        platform_host_name(system_name, sizeof(system_name));
        what.host = system_name;
    }
    what.place = place;
    return r < 0 ? r : function(job->session.client, &what, out_renew_in_s, err);
}

static void run(struct in_use *self, saying *function)
{
    const struct output *output = &self->job->command->output;
    const bool is_first = self->pace.failures == 0;
    uint32_t renew_in_s = 0;
    struct error err = { 0 };
    int r = say(self, function, &renew_in_s, &err);

    if (r == 0 || r == -ENOENT)
        lease_pace_said(&self->pace, renew_in_s, clock_monotonic_ms(), random_bits());
    else
        lease_pace_failed(&self->pace, 0, clock_monotonic_ms(), random_bits());
    if (r == 0 || r == -ECANCELED)
        return;
    error_prefix(&err, r, "the server was not told that this version is in use here");
    if (r == -ENOENT || !is_first)
        output_detail(output, "%s", err.text);
    else
        output_warning(output, err.text);
}

void in_use_say(struct in_use *self, const char *version)
{
    memcpy(self->version, version, strlen(version) + 1);
    self->pace.failures = 0;
    run(self, api_hosts_say_pulled);
}

void in_use_renew(struct in_use *self)
{
    run(self, api_hosts_renew);
}
