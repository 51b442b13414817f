/* SPDX-License-Identifier: MIT */
#include "agent/transfer/push_delta_job.h"

#include <errno.h>

#include "agent/transfer/hint_cache.h"
#include "agent/transfer/kept_files.h"
#include "agent/transfer/push_looks.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/model/delta.h"
#include "common/model/delta_plan.h"

/* A patch of all is tried when a plan leaves more than this part of the file... */
#define MUCH_LEFT 8
/* ...and its delta has more bytes than this. */
#define SMALL_DELTA 4096

/* What is known of the base's bytes: put where push_base_fetch() looks first. */
static int look_at_base(struct push_delta_job *job, struct error *err)
{
    const char *kind = push_base_hint(job->kind);
    bool lists = job->kind == PUSH_BASE_LIST;
    cleanup(buf_release) struct buf hint = buf_init(HINT_CACHE_LARGEST + DIGEST_SIZE);
    struct push_delta_file base = { .fd = job->kept_fd, .stop = job->file.stop };
    int r;

    push_base_tell(job->base, &base.sha256, &base.size);
    if (hint_cache_get(job->cache, &base.sha256, kind, &hint))
        return 0;
    buf_clear(&hint);
    r = push_delta_look(&base, lists ? &hint : NULL, lists ? NULL : &hint, err);
    if (r == 0)
        hint_cache_put(job->cache, &base.sha256, kind, buf_span(&hint));
    return r == -ECANCELED || r == -ENOMEM ? r : 0; /* else the server is asked */
}

int push_delta_job_look(struct push_delta_job *job, struct error *err)
{
    bool lists = job->kind == PUSH_BASE_LIST;
    int r = job->kept_fd >= 0 ? look_at_base(job, err) : 0;

    buf_release(&job->own);
    if (r < 0 || push_looks_take(job->looks, job->entry, job->kind, &job->own))
        return r;
    return push_delta_look(&job->file, lists ? &job->own : NULL, lists ? NULL : &job->own, err);
}

static int make_patched(struct push_delta_job *job, const struct delta_header *header,
                        const struct delta_plan *plan, struct error *err)
{
    cleanup(buf_release) struct buf patch = buf_init(job->delta.maximum);
    int r = push_delta_write(&job->file, header, plan, job->kept_fd, &job->delta, err);
    int p;

    if (r < 0 && r != -EFBIG)
        return r;
    if (plan->literal_bytes < plan->target_size / MUCH_LEFT || job->file.size > KEPT_FILES_MAX ||
        (r == 0 && job->delta.size <= SMALL_DELTA))
        return r;
    if (r == 0)
        patch.maximum = job->delta.size;
    p = push_delta_patch(&job->file, header, job->kept_fd, &patch, err);
    if (p < 0)
        return p == -EFBIG ? r : p;
    patch.maximum = job->delta.maximum;
    buf_release(&job->delta);
    job->delta = patch;
    patch = buf_init(0);
    return 0;
}

/* Against the base's bytes. */
static int make_from_bytes(struct push_delta_job *job, const struct delta_header *header,
                           const struct delta_plan *plan, struct error *err)
{
    int r;

    pthread_mutex_lock(job->patching);
    r = make_patched(job, header, plan, err);
    pthread_mutex_unlock(job->patching);
    return r == -EFBIG || (r == 0 && job->delta.size > job->file.size - job->file.size / 4)
               ? PUSH_DELTA_JOB_USELESS
               : r;
}

int push_delta_job_make(struct push_delta_job *job, struct error *err)
{
    struct delta_header header = { .target = job->file.sha256, .target_size = job->file.size };
    cleanup(delta_plan_release) struct delta_plan plan = { 0 };
    int r = push_base_plan(job->base, &plan, err);

    if (r < 0)
        return r;
    buf_release(&job->delta); /* of another try */
    push_base_tell(job->base, &header.base, &header.base_size);
    if (job->kept_fd >= 0)
        return make_from_bytes(job, &header, &plan, err);
    if (!push_delta_pays(&plan))
        return PUSH_DELTA_JOB_USELESS;
    return push_delta_write(&job->file, &header, &plan, -1, &job->delta, err);
}

void push_delta_job_clear(struct push_delta_job *job)
{
    job->base = push_base_free(job->base);
    cleanup_fd_at(&job->file.fd);
    cleanup_fd_at(&job->kept_fd);
    buf_release(&job->own);
    buf_release(&job->delta);
}
