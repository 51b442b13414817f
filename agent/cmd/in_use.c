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
#define RENEW_S 3600   /* where the server says nothing */
#define AGAIN_MS 60000 /* after a failure at first, when renewals are not more frequent */

struct in_use in_use_of(struct job *job, const char *project, const char *app, const char *path)
{
    return (struct in_use){
        .job = job, .project = project, .app = app, .path = path, .due_ms = UINT64_MAX
    };
}

/* Before the time that was asked for, and spread: hosts that pulled together do not say it
 * together. */
static void set_due(struct in_use *self, uint32_t renew_in_s)
{
    uint32_t random = 0;

    random_bytes(&random, sizeof(random), NULL);
    self->failures = 0;
    self->renew_ms = (uint64_t)(renew_in_s > 0 ? renew_in_s : RENEW_S) * 1000;
    self->due_ms = clock_monotonic_ms() + self->renew_ms - random % (self->renew_ms / 5 + 1);
}

static void set_again(struct in_use *self)
{
    const uint64_t base_ms = self->renew_ms < AGAIN_MS ? self->renew_ms : AGAIN_MS;
    const struct retry_policy policy = { .tries = UINT32_MAX,
                                         .base_ms = (uint32_t)base_ms,
                                         .max_ms = (uint32_t)self->renew_ms };
    uint64_t wait_ms = policy.max_ms;
    uint32_t random = 0;

    random_bytes(&random, sizeof(random), NULL);
    self->failures += self->failures < 100;
    retry_wait(&policy, self->failures + 1, 0, random, &wait_ms);
    self->due_ms = clock_monotonic_ms() + wait_ms;
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
    const bool is_first = self->failures == 0;
    uint32_t renew_in_s = 0;
    struct error err = { 0 };
    int r = say(self, function, &renew_in_s, &err);

    if (r == 0 || r == -ENOENT)
        set_due(self, renew_in_s);
    else
        set_again(self);
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
    self->failures = 0;
    run(self, api_hosts_say_pulled);
}

void in_use_renew(struct in_use *self)
{
    run(self, api_hosts_renew);
}
