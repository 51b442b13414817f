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
#include "server/service/object_copy.h"
#include "server/storage/blob_store.h"

#define NAME "kkartifact.db"
#define NEW NAME ".new"
#define PATH_SIZE 4096

CLEANUP_DEFINE(directory, directory_close);

struct making {
    struct job_run *run;
    struct services *services;
    const struct backup_target *target;
    struct directory *directory;
    struct object_copy copy;
};

static int go_on(void *context, struct error *err)
{
    struct making *self = context;

    return job_step(self->run, (int64_t)self->copy.objects, 0, err);
}

static int open_database(struct making *self, const char *name, struct database **out,
                         struct error *err)
{
    cleanup(buf_release) struct buf location = buf_init(PATH_SIZE);
    struct database_options options = { .create = false };
    int r;

    buf_format(&location, "sqlite:%s/%s", self->target->directory, name);
    r = buf_check(&location, err);
    options.location = buf_text(&location);
    return r < 0 ? r : database_open(&options, out, err);
}

/* ------------------------------------------------------------ the new database */

static int remove_new(struct making *self, struct error *err)
{
    static const char *const names[] = { NEW, NEW "-wal", NEW "-shm", NEW "-journal",
                                         NEW "-epoch" };
    int r;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        r = directory_remove_file(self->directory, names[i], err);
        if (r < 0 && r != -ENOENT)
            return r;
    }
    return 0;
}

static int take_snapshot(struct making *self, struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_SIZE);
    int r;

    buf_format(&path, "%s/%s", self->target->directory, NEW);
    r = buf_check(&path, err);
    if (r == 0)
        r = database_snapshot(self->services->database, buf_text(&path), go_on, self, err);
    if (r == 0)
        r = open_database(self, NEW, &self->copy.rows, err);
    return r < 0 ? r : database_copy_settle(self->copy.rows, err);
}

static bool is_there(struct making *self, const char *name)
{
    struct file_info info;

    return directory_info(self->directory, name, &info, NULL) == 0;
}

/* Its log would be taken for the new one's: who opened it last and was killed left it, and opening
 * and closing takes it away. */
static int settle_old(struct making *self, struct error *err)
{
    cleanup(database_close_at) struct database *old = NULL;
    int r = 0;

    if (is_there(self, NAME "-wal")) {
        r = open_database(self, NAME, &old, err);
        old = database_close(old);
    }
    if (r == 0 && is_there(self, NAME "-wal"))
        r = error_set(err, -EBUSY, "the database of the backup is open");
    return r;
}

static int put_in_place(struct making *self, struct error *err)
{
    int r;

    self->copy.rows = database_close(self->copy.rows);
    if (is_there(self, NEW "-wal"))
        return error_set(err, -EIO, "the new database could not be closed");
    r = settle_old(self, err);
    if (r == 0)
        r = directory_rename(self->directory, NEW, self->directory, NAME, err);
    if (r == 0)
        r = directory_sync(self->directory, err);
    return r;
}

/* ------------------------------------------------------------ the job */

static int copy_all(struct making *self, struct error *err)
{
    int r = remove_new(self, err);

    if (r == 0)
        r = take_snapshot(self, err);
    if (r == 0)
        r = object_copy_run(&self->copy, err);
    if (r == 0)
        r = put_in_place(self, err);
    if (r < 0)
        return r;
    r = open_database(self, NAME, &self->copy.rows, err);
    return r < 0 ? r : object_copy_prune(&self->copy, err);
}

static void fill(const struct object_copy *copy, struct backup_result *out)
{
    *out = (struct backup_result){
        .objects = copy->objects,
        .copied_objects = copy->copied_objects,
        .copied_bytes = copy->copied_bytes,
        .removed_objects = copy->removed_objects,
        .damaged = copy->damaged,
    };
}

static int make(struct job_run *run, void *context, struct error *err)
{
    struct json_writer writer = json_writer_init(job_result(run));
    struct making *self = context;
    struct backup_result result;
    int r = directory_open(self->target->directory, &self->directory, err);

    self->run = run;
    if (r < 0)
        return r;
    r = blob_store_check(self->services->store, err);
    if (r == 0)
        r = copy_all(self, err);
    self->copy.rows = database_close(self->copy.rows);
    (void)remove_new(self, NULL); /* room for what the old one needs; the file beside the epoch */
    self->directory = directory_close(self->directory);
    fill(&self->copy, &result);
    backup_write(&writer, &result);
    return r;
}

int backup_make(struct services *services, const struct backup_target *target,
                struct backup_result *out, struct error *err)
{
    struct making self = { .services = services,
                           .target = target,
                           .copy = {
                               .from = services->store, .to = target->store, .go_on = go_on } };
    int r;

    self.copy.context = &self;
    r = jobs_do(services, "backup", make, &self, err);
    if (r == 0)
        fill(&self.copy, out);
    return r;
}

void backup_write(struct json_writer *writer, const struct backup_result *result)
{
    json_begin_object(writer, NULL);
    json_integer(writer, "objects", (int64_t)result->objects);
    json_integer(writer, "copied_objects", (int64_t)result->copied_objects);
    json_integer(writer, "copied_bytes", (int64_t)result->copied_bytes);
    json_integer(writer, "removed_objects", (int64_t)result->removed_objects);
    json_integer(writer, "damaged", (int64_t)result->damaged);
    json_end(writer);
}
