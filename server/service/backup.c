/* SPDX-License-Identifier: MIT */
#include "server/service/backup.h"

#include <errno.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/codec/json.h"
#include "server/db/database.h"
#include "server/db/database_copy.h"
#include "server/service/context.h"
#include "server/service/jobs.h"
#include "server/service/new_database.h"
#include "server/service/object_copy.h"
#include "server/storage/blob_store.h"

#define NAME "kkartifact.db"
#define PATH_SIZE 4096
#define LACKING_MAX ((size_t)256 << 10)

struct making {
    struct job_run *run;
    struct services *services;
    const char *path;    /* of its database */
    struct buf location; /* of the same */
    struct new_database place;
    struct object_copy copy;
    struct backup_result *result;
};

static int go_on(void *context, struct error *err)
{
    struct making *self = context;

    return job_step(self->run, (int64_t)self->copy.objects, 0, err);
}

static int open_database(const char *location, struct database **out, struct error *err)
{
    const struct database_options options = { .location = location };

    return database_open(&options, out, err);
}

/* ------------------------------------------------------------ the new database */

static int take_snapshot(struct making *self, struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_SIZE);
    int r = new_database_begin(&self->place, self->path, err);

    buf_format(&path, "%s.new", self->path);
    if (r == 0)
        r = buf_check(&path, err);
    if (r == 0)
        r = database_snapshot(self->services->database, buf_text(&path), go_on, self, err);
    if (r == 0)
        r = open_database(buf_text(&self->place.location), &self->copy.rows, err);
    return r < 0 ? r : database_copy_settle(self->copy.rows, err);
}

/* A log beside the old one would be taken for the new one's: who opened that last and was killed
 * left it, and opening and closing takes it away. */
static int settle_old(struct making *self, struct error *err)
{
    cleanup(database_close_at) struct database *old = NULL;
    struct file_info info;

    if (directory_info(self->place.directory, NAME "-wal", &info, NULL) != 0)
        return 0;
    return open_database(buf_text(&self->location), &old, err);
}

static int put_in_place(struct making *self, struct error *err)
{
    int r;

    self->copy.rows = database_close(self->copy.rows);
    r = settle_old(self, err);
    return r < 0 ? r : new_database_place(&self->place, true, err);
}

/* ------------------------------------------------------------ the job */

static int copy_all(struct making *self, struct error *err)
{
    int r = take_snapshot(self, err);

    if (r == 0)
        r = object_copy_run(&self->copy, err);
    if (r == 0)
        r = put_in_place(self, err);
    if (r < 0)
        return r;
    r = open_database(buf_text(&self->location), &self->copy.rows, err);
    return r < 0 ? r : object_copy_prune(&self->copy, err);
}

void backup_result_fill(struct backup_result *out, const struct object_copy *copy)
{
    out->objects = copy->objects;
    out->copied_objects = copy->copied_objects;
    out->copied_bytes = copy->copied_bytes;
    out->removed_objects = copy->removed_objects;
    out->damaged = copy->damaged;
    out->unreadable = copy->unreadable;
}

static int make(struct job_run *run, void *context, struct error *err)
{
    struct json_writer writer = json_writer_init(job_result(run));
    struct making *self = context;
    int r;

    self->run = run;
    r = blob_store_check(self->services->store, err);
    if (r == 0)
        r = copy_all(self, err);
    self->copy.rows = database_close(self->copy.rows);
    if (r < 0 && self->place.directory != NULL)
        (void)new_database_remove(&self->place, NULL); /* its room is the old one's */
    new_database_release(&self->place);
    if (r == 0)
        r = buf_check(self->copy.lacking, err);
    backup_result_fill(self->result, &self->copy);
    backup_write(&writer, self->result);
    return r;
}

int backup_make(struct services *services, const struct backup_target *target,
                struct backup_result *out, struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_SIZE);
    struct making self = {
        .services = services,
        .location = buf_init(PATH_SIZE),
        .copy = { .from = services->store,
                  .to = target->store,
                  .go_on = go_on,
                  .lacking = &out->lacking },
        .result = out,
    };
    int r;

    self.copy.context = &self;
    buf_format(&path, "%s/" NAME, target->directory);
    buf_format(&self.location, "sqlite:%s/" NAME, target->directory);
    r = buf_check(&self.location, err);
    self.path = buf_text(&path);
    if (r == 0)
        r = jobs_do(services, "backup", make, &self, err);
    buf_release(&self.location);
    return r;
}

void backup_result_init(struct backup_result *result)
{
    *result = (struct backup_result){ .lacking = buf_init(LACKING_MAX) };
}

void backup_result_release(struct backup_result *result)
{
    buf_release(&result->lacking);
}

void backup_write(struct json_writer *writer, const struct backup_result *result)
{
    cleanup(buf_release) struct buf array = buf_init(LACKING_MAX + 2);

    json_begin_object(writer, NULL);
    json_integer(writer, "objects", (int64_t)result->objects);
    json_integer(writer, "copied_objects", (int64_t)result->copied_objects);
    json_integer(writer, "copied_bytes", (int64_t)result->copied_bytes);
    json_integer(writer, "removed_objects", (int64_t)result->removed_objects);
    json_integer(writer, "damaged", (int64_t)result->damaged);
    json_integer(writer, "unreadable", (int64_t)result->unreadable);
    buf_add_byte(&array, '[');
    buf_add_span(&array, buf_span(&result->lacking));
    buf_add_byte(&array, ']');
    json_ready(writer, "lacking", buf_span(&array));
    json_end(writer);
}

void backup_write_lacking(struct buf *out, const struct backup_result *result)
{
    struct span rest = buf_span(&result->lacking), text;

    while (rest.size > 0 && span_cut(&rest, ',', &text))
        buf_format(out, "%.*s\n", (int)text.size - 2, (const char *)text.bytes + 1);
}

int backup_outcome(const struct backup_result *result, const char *what, struct error *err)
{
    if (result->unreadable > 0)
        return error_set(err, -EIO,
                         "%s is complete but for %llu objects that cannot be read and %llu blobs"
                         " that are missing or corrupt: see fsck",
                         what, (unsigned long long)result->unreadable,
                         (unsigned long long)result->damaged);
    if (result->damaged > 0)
        return error_set(err, -EIO,
                         "%s is complete but for %llu blobs that are missing or corrupt: see fsck",
                         what, (unsigned long long)result->damaged);
    return 0;
}
