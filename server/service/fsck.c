/* SPDX-License-Identifier: MIT */
#include "server/service/fsck.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/codec/json.h"
#include "server/db/blob_walk.h"
#include "server/db/tombstones.h"
#include "server/service/blob_fact.h"
#include "server/service/context.h"
#include "server/service/jobs.h"
#include "server/service/object_check.h"
#include "server/storage/blob_store.h"

#define PAGE 200
#define AGE_S 86400     /* a younger object may be about to get its row */
#define FOUND_MAX 1000  /* lines */
#define BROKEN_MAX 1000 /* versions */

struct checking {
    struct job_run *run;
    struct services *services;
    bool full, repair;
    uint64_t blobs, bytes, missing, corrupt, unreadable, recovered;
    uint64_t objects, strays, moved;
    size_t found_count;
    struct buf found; /* JSON texts with commas between */
    size_t broken_count;
    struct broken_version *broken; /* BROKEN_MAX, by what this run found and the rows do not say */
};

static int go_on(void *context, struct error *err)
{
    const struct checking *self = context;

    return job_step(self->run, (int64_t)(self->blobs + self->objects), 0, err);
}

static void note(struct checking *self, const char *what, const char *key)
{
    if (self->found_count == FOUND_MAX)
        return;
    buf_format(&self->found, "%s\"%s: %s\"", self->found_count++ > 0 ? "," : "", what, key);
}

/* ------------------------------------------------------------ rows */

static bool is_said_to_be_there(const struct blob *blob)
{
    return blob->state == BLOB_LIVE || blob->state == BLOB_CONDEMNED;
}

static void add_broken(struct checking *self, const struct broken_version *version)
{
    size_t at = 0;

    while (at < self->broken_count && self->broken[at].id != version->id)
        at++;
    if (at < self->broken_count)
        self->broken[at].blob_count += version->blob_count;
    else if (at < BROKEN_MAX)
        self->broken[self->broken_count++] = *version;
}

/* Of a row that goes on being said to be there: what it breaks is found by nothing else. */
static int touch(struct checking *self, const struct blob *blob, struct error *err)
{
    cleanup_memory struct broken_version *items = NULL;
    size_t count = 0;
    int r;

    if (!is_said_to_be_there(blob) || self->broken_count == BROKEN_MAX)
        return 0;
    r = blob_version_list(self->services->database, blob->id, BROKEN_MAX, &items, &count, err);
    for (size_t i = 0; r == 0 && i < count; i++)
        add_broken(self, &items[i]);
    return r;
}

/* A store that was unmounted in the middle has lost nothing. */
static int conclude(struct checking *self, const struct blob *blob, enum blob_state state,
                    struct error *err)
{
    int r = blob_store_check(self->services->store, err);

    if (r < 0 || !is_said_to_be_there(blob))
        return r;
    if (!self->repair)
        return touch(self, blob, err);
    blob_fact_forget(self->services, &blob->sha256);
    return blob_report(self->services->database, blob->id, blob->key, state, err);
}

/* One that was given up and is there. Only its bytes say that it is right. */
static int recover(struct checking *self, const struct blob *blob, struct error *err)
{
    self->recovered++;
    note(self, "right after all", blob->key);
    return self->repair ? blob_recovered(self->services->database, blob->id, blob->key, err) : 0;
}

/* 1: the row is what it was. One that was collected or healed meanwhile has lost nothing. */
static int is_still(struct checking *self, const struct blob *blob, struct error *err)
{
    struct blob now;
    int r = blob_get(self->services->database, blob->id, &now, err);

    if (r == -ENOENT)
        return 0;
    return r < 0 ? r : strcmp(now.key, blob->key) == 0 && now.state == blob->state;
}

static int check_blob(struct checking *self, const struct blob *blob, struct error *err)
{
    const bool is_there = is_said_to_be_there(blob);
    enum object_verdict verdict;
    int r = object_check(self->services->store, blob, self->full || !is_there, go_on, self,
                         &verdict, err);

    if (r < 0)
        return error_prefix(err, r, "%s", blob->key);
    if (verdict != OBJECT_RIGHT) {
        r = is_still(self, blob, err);
        if (r != 1)
            return r;
    }
    self->blobs++;
    self->bytes += blob->size;
    switch (verdict) {
    case OBJECT_MISSING:
        self->missing++;
        note(self, "missing", blob->key);
        return conclude(self, blob, BLOB_MISSING, err);
    case OBJECT_WRONG:
        self->corrupt++;
        note(self, "corrupt", blob->key);
        return conclude(self, blob, BLOB_CORRUPT, err);
    case OBJECT_UNREADABLE: /* what it is may be seen another time */
        self->unreadable++;
        note(self, "unreadable", blob->key);
        r = blob_store_check(self->services->store, err);
        return r < 0 ? r : touch(self, blob, err);
    case OBJECT_RIGHT:
        break;
    }
    return is_there ? 0 : recover(self, blob, err);
}

/* One that the collection took since the page was read is no loss. */
static int check_row(struct checking *self, const struct blob *blob, struct error *err)
{
    struct blob now;
    int r = blob_get(self->services->database, blob->id, &now, err);

    if (r == -ENOENT)
        return 0;
    return r < 0 ? r : check_blob(self, &now, err);
}

static int check_rows(struct checking *self, struct error *err)
{
    cleanup_memory struct blob *page = memory_array(PAGE, sizeof(*page));
    int64_t after = 0;
    size_t count;
    int r = page == NULL ? error_set(err, -ENOMEM, "out of memory") : 0;

    while (r == 0) {
        r = blob_walk(self->services->database, after, PAGE, page, &count, err);
        for (size_t i = 0; r == 0 && i < count; i++) {
            r = check_row(self, &page[i], err);
            after = page[i].id;
        }
        if (r < 0 || count < PAGE)
            break;
    }
    return r;
}

/* ------------------------------------------------------------ objects */

/* 1: the database knows why it is there. */
static int is_known(struct checking *self, const char *key, struct error *err)
{
    int r = blob_key_is_used(self->services->database, key, err);

    return r != 0 ? r : tombstone_has(self->services->database, key, err);
}

static int check_object(void *context, const char *name, uint64_t size, int64_t changed_at_s,
                        struct error *err)
{
    struct checking *self = context;
    char key[BLOB_STORAGE_KEY_SIZE];
    int r = go_on(self, err);

    self->objects++;
    if (r < 0 || changed_at_s > services_now(self->services) - AGE_S || !object_row_key(name, key))
        return r;
    r = is_known(self, key, err);
    if (r != 0)
        return r < 0 ? r : 0;
    self->strays++;
    note(self, "without a row", name);
    if (!self->repair)
        return 0;
    r = blob_store_set_aside(self->services->store, name, err);
    self->moved += r == 0;
    return r;
}

/* ------------------------------------------------------------ the job */

static int read_params(struct checking *self, struct error *err)
{
    const struct job *job = job_of(self->run);
    struct json *json = NULL;
    int r = job->params != NULL ? json_parse(span_text(job->params), &json, err) : 0;

    if (r == 0 && json != NULL)
        r = json_member_bool(json_root(json), "full", &self->full, err);
    if (r == 0 && json != NULL)
        r = json_member_bool(json_root(json), "repair", &self->repair, err);
    json_free(json);
    return r;
}

static int write_broken(struct checking *self, struct json_writer *writer, struct error *err)
{
    cleanup_memory struct broken_version *items = NULL;
    size_t count = 0;
    int r = broken_version_list(self->services->database, BROKEN_MAX, &items, &count, err);

    for (size_t i = 0; r == 0 && i < count; i++)
        add_broken(self, &items[i]);
    json_begin_array(writer, "broken_versions");
    for (size_t i = 0; r == 0 && i < self->broken_count; i++) {
        json_begin_object(writer, NULL);
        json_text(writer, "project", self->broken[i].project);
        json_text(writer, "app", self->broken[i].app);
        json_text(writer, "version", self->broken[i].version);
        json_integer(writer, "blobs", (int64_t)self->broken[i].blob_count);
        json_end(writer);
    }
    json_end(writer);
    return r;
}

static int write_result(struct checking *self, struct error *err)
{
    struct json_writer writer = json_writer_init(job_result(self->run));
    int r;

    json_begin_object(&writer, NULL);
    json_integer(&writer, "blobs", (int64_t)self->blobs);
    json_integer(&writer, "bytes", (int64_t)self->bytes);
    json_integer(&writer, "missing", (int64_t)self->missing);
    json_integer(&writer, "corrupt", (int64_t)self->corrupt);
    json_integer(&writer, "unreadable", (int64_t)self->unreadable);
    json_integer(&writer, "recovered", (int64_t)self->recovered);
    json_integer(&writer, "objects", (int64_t)self->objects);
    json_integer(&writer, "strays", (int64_t)self->strays);
    json_integer(&writer, "moved_aside", (int64_t)self->moved);
    r = write_broken(self, &writer, err);
    buf_add_byte(&self->found, ']');
    json_ready(&writer, "found", buf_span(&self->found));
    json_end(&writer);
    return r < 0 ? r : buf_check(&self->found, err);
}

int fsck_run(struct job_run *run, struct error *err)
{
    struct checking self = { .run = run,
                             .services = job_services(run),
                             .found = buf_init((size_t)256 << 10) };
    int r = read_params(&self, err);

    buf_add_byte(&self.found, '[');
    self.broken = memory_array(BROKEN_MAX, sizeof(*self.broken));
    if (r == 0 && self.broken == NULL)
        r = error_set(err, -ENOMEM, "out of memory");
    if (r == 0)
        r = blob_store_check(self.services->store, err);
    if (r == 0)
        r = check_rows(&self, err);
    if (r == 0)
        r = blob_store_list(self.services->store, check_object, &self, err);
    if (r == 0)
        r = write_result(&self, err);
    buf_release(&self.found);
    memory_free(self.broken);
    return r;
}
