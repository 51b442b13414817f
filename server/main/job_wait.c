/* SPDX-License-Identifier: MIT */
#include "server/main/job_wait.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/codec/json.h"
#include "server/security/access.h"
#include "server/service/jobs.h"

#define LOOK_MS 200

int64_t job_number(const struct json_value *result, const char *name)
{
    int64_t value = 0;

    json_member_integer(result, name, &value, NULL);
    return value;
}

int job_outcome(const struct job *job, struct error *err)
{
    if (job->state == JOB_DONE)
        return 0;
    return error_set(err, -EIO, "%s: %s", job_state_name(job->state),
                     job->problem != NULL ? job->problem : "no more is known");
}

/* The host sees all. */
static int look(struct services *services, const char *id, struct job *out, struct error *err)
{
    const struct identity host = { .name = "host", .permissions = ACCESS_ADMIN };

    job_release(out);
    return jobs_get(services, &host, id, out, NULL, err);
}

int job_wait(struct services *services, const char *kind, const char *params, struct job *out,
             struct error *err)
{
    const struct timespec pause = { .tv_nsec = LOOK_MS * 1000000 };
    cleanup(job_release) struct job job = { 0 };
    char id[JOB_ID_SIZE];
    size_t count;
    int r = jobs_submit(services, NULL, kind, NULL, NULL, params, &job, err);

    if (r < 0)
        return r;
    memcpy(id, job.id, sizeof(id));
    for (;;) {
        r = jobs_work(services, &count, err);
        if (r == 0)
            r = look(services, id, &job, err);
        if (r < 0)
            return r;
        if (job.finished_at_s != 0)
            break;
        nanosleep(&pause, NULL);
    }
    *out = job;
    job = (struct job){ .number = 0 };
    return 0;
}
