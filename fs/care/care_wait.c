/* SPDX-License-Identifier: MIT */
/* Who is told when a job is over. */
#include <errno.h>

#include "common/base/error.h"
#include "common/base/memory.h"
#include "fs/care/care_private.h"

static void tell(void *context)
{
    struct care_wait *wait = context;
    struct care_job *job = wait->job;

    /* What is over does not change any more. */
    wait->done(wait->context, job->code < 0 ? &job->err : NULL);
    care_job_unref(job);
    memory_free(wait);
}

void care_tell(struct care_wait *waits)
{
    while (waits != NULL) {
        struct care_wait *wait = waits;
        waits = wait->next;
        wait->post = (struct http_post){ .function = tell, .context = wait };
        http_loop_post_at(wait->job->care->options.loop, &wait->post);
    }
}

int care_bring_then(struct care *care, const char *project, const char *app, const char *version,
                    care_done *done, void *context, struct error *err)
{
    struct care_wait *wait = memory_new(sizeof(*wait));
    struct care_job *job = NULL;
    bool is_over;

    if (wait != NULL)
        job = care_begin(care, CARE_PREFETCH, project, app, version);
    if (job == NULL) {
        memory_free(wait);
        return error_set(err, -ENOMEM, "out of memory");
    }
    *wait = (struct care_wait){ .job = job, .done = done, .context = context };
    pthread_mutex_lock(&care->lock);
    is_over = job->is_over;
    if (!is_over) {
        wait->next = job->waits;
        job->waits = wait;
    }
    pthread_mutex_unlock(&care->lock);
    if (is_over)
        care_tell(wait);
    return 0;
}
