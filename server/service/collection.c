/* SPDX-License-Identifier: MIT */
#include "server/service/collection.h"

#include <errno.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/codec/json.h"
#include "server/db/purge.h"
#include "server/service/context.h"
#include "server/service/jobs.h"
#include "server/service/policy.h"
#include "server/service/pushes.h"
#include "server/service/record_store.h"
#include "server/service/tombstone_clearing.h"
#include "server/storage/blob_store.h"

#define BATCH 500

struct collecting {
    struct job_run *run;
    struct services *services;
    struct policy policy;
    uint64_t purged, purge_failures;
    uint64_t candidates, kept, condemned, deleted, deleted_bytes;
    size_t removed;
};

/* Progress is counted in what was looked at: nobody knows the sum before. */
static int step(const struct collecting *self, struct error *err)
{
    return job_step(self->run, (int64_t)(self->purged + self->candidates + self->deleted), 0, err);
}

/* ------------------------------------------------------------ the trash */

/* One that became a hold, or was restored, since it was found stays. */
static int purge_one(struct collecting *self, int64_t id, int64_t before_s, struct error *err)
{
    const struct actor by = { .name = "gc" };
    int r = version_purge(self->services->database, id, before_s, &by, err);

    if (r == 0) {
        self->purged++;
        event_written(self->services);
    } else if (r == -EBUSY || r == -ENOENT) {
        self->purge_failures++;
        r = 0;
    }
    return r;
}

/* Those that stay are found again: without one that went, it was the last batch. */
static int purge_trash(struct collecting *self, struct error *err)
{
    const int64_t before_s = services_now(self->services) - self->policy.trash_age_s;
    int64_t ids[BATCH];
    uint64_t before;
    size_t count;
    int r;

    do {
        before = self->purged;
        r = purge_due(self->services->database, before_s, BATCH, ids, &count, err);
        for (size_t i = 0; r == 0 && i < count; i++) {
            r = step(self, err);
            if (r == 0)
                r = purge_one(self, ids[i], before_s, err);
        }
    } while (r == 0 && count == BATCH && self->purged > before);
    return r;
}

/* ------------------------------------------------------------ the blobs */

static void add_up(struct collecting *self, const struct sweep_batch *batch)
{
    self->kept += batch->kept;
    self->condemned += batch->condemned;
    self->deleted += batch->deleted;
    self->deleted_bytes += batch->deleted_bytes;
}

static int mark(struct collecting *self, struct error *err)
{
    struct sweep_batch batch = { .last = 0 };
    int r;

    do {
        r = step(self, err);
        if (r == 0)
            r = sweep_mark(self->services->database, batch.last, self->policy.collect_grace_s,
                           BATCH, &batch, err);
        if (r < 0)
            return r;
        self->candidates += batch.looked_at;
        add_up(self, &batch);
    } while (batch.looked_at == BATCH);
    return 0;
}

static int delete (struct collecting *self, struct error *err)
{
    struct sweep_batch batch;
    int r;

    do {
        r = step(self, err);
        if (r == 0)
            r = sweep_delete(self->services->database, self->policy.collect_grace_s, BATCH, &batch,
                             err);
        if (r < 0)
            return r;
        add_up(self, &batch);
    } while (batch.looked_at == BATCH);
    return 0;
}

static int remove_objects(struct collecting *self, struct error *err)
{
    size_t told;
    int r = tombstone_clearing_step(self->services, &self->removed, err);

    return r < 0 ? r : record_store_tell_purged(self->services, &told, err);
}

/* ------------------------------------------------------------ the job */

static void write_result(const struct collecting *self)
{
    struct json_writer writer = json_writer_init(job_result(self->run));

    json_begin_object(&writer, NULL);
    json_integer(&writer, "purged_versions", (int64_t)self->purged);
    json_integer(&writer, "purge_failures", (int64_t)self->purge_failures);
    json_integer(&writer, "candidates", (int64_t)self->candidates);
    json_integer(&writer, "kept", (int64_t)self->kept);
    json_integer(&writer, "condemned", (int64_t)self->condemned);
    json_integer(&writer, "deleted_blobs", (int64_t)self->deleted);
    json_integer(&writer, "deleted_bytes", (int64_t)self->deleted_bytes);
    json_integer(&writer, "removed_objects", (int64_t)self->removed);
    json_end(&writer);
}

int collection_run(struct job_run *run, struct error *err)
{
    struct collecting self = { .run = run, .services = job_services(run) };
    size_t ended; /* their blobs become candidates */
    int r = blob_store_check(self.services->store, err);

    if (r == 0)
        r = policy_get(self.services, &self.policy, err);
    if (r == 0)
        r = pushes_expire(self.services, &ended, err);
    if (r == 0)
        r = purge_trash(&self, err);
    if (r == 0)
        r = mark(&self, err);
    if (r == 0)
        r = delete (&self, err);
    if (r == 0)
        r = remove_objects(&self, err);
    write_result(&self);
    return r;
}

static int count_due(struct services *services, const struct policy *policy, uint64_t *out,
                     struct error *err)
{
    return purge_due_count(services->database, services_now(services) - policy->trash_age_s, out,
                           err);
}

int collection_look(struct services *services, struct collection_preview *out, struct error *err)
{
    struct collection_preview preview = { .due_versions = 0 };
    struct policy policy;
    int r = policy_get(services, &policy, err);

    if (r == 0)
        r = count_due(services, &policy, &preview.due_versions, err);
    if (r == 0)
        r = sweep_look(services->database, policy.collect_grace_s, &preview.blobs, err);
    if (r < 0)
        return r;
    preview.trash_age_s = policy.trash_age_s;
    preview.grace_s = policy.collect_grace_s;
    *out = preview;
    return 0;
}

void collection_write(struct json_writer *writer, const char *name,
                      const struct collection_preview *preview)
{
    const struct sweep_preview *blobs = &preview->blobs;
    const struct {
        const char *name;
        uint64_t value;
    } members[] = {
        { "due_versions", preview->due_versions },
        { "candidates", blobs->candidates },
        { "unreferenced", blobs->unreferenced },
        { "unreferenced_bytes", blobs->unreferenced_bytes },
        { "condemned", blobs->condemned },
        { "condemned_bytes", blobs->condemned_bytes },
        { "due_blobs", blobs->due },
        { "due_bytes", blobs->due_bytes },
        { "tombstones", blobs->tombstones },
        { "trash_age", (uint64_t)preview->trash_age_s },
        { "grace", (uint64_t)preview->grace_s },
    };

    json_begin_object(writer, name);
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        json_integer(writer, members[i].name, (int64_t)members[i].value);
    json_end(writer);
}

int collection_count(struct services *services, struct sweep_counts *out, struct error *err)
{
    return sweep_count(services->database, out, err);
}

int collection_ask(struct services *services, size_t *out_count, struct error *err)
{
    cleanup(job_release) struct job job = { .number = 0 };
    struct policy policy;
    uint64_t due = 0;
    int r = policy_get(services, &policy, err);

    *out_count = 0;
    if (r == 0)
        r = count_due(services, &policy, &due, err);
    if (r == 0 && due == 0)
        r = sweep_is_due(services->database, policy.collect_grace_s, err);
    if (r < 0 || (due == 0 && r == 0))
        return r;
    r = jobs_submit(services, NULL, "gc", NULL, NULL, NULL, &job, err);
    if (r < 0)
        return r;
    *out_count = r == 0;
    return 0;
}
