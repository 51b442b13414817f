/* SPDX-License-Identifier: MIT */
#include "server/service/restore.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "server/db/database.h"
#include "server/db/database_copy.h"
#include "server/db/store.h"
#include "server/service/object_copy.h"
#include "server/storage/blob_store.h"

#define PATH_SIZE 4096

CLEANUP_DEFINE(directory, directory_close);

struct restoring {
    const struct restore *restore;
    struct directory *directory; /* of the database */
    const char *name;            /* there */
    struct buf name_new;
    struct object_copy copy;
};

static int go_on(void *context, struct error *err)
{
    return 0;
}

static int remove_beside(struct restoring *self, const char *end, struct error *err)
{
    cleanup(buf_release) struct buf name = buf_init(PATH_SIZE);
    int r;

    buf_format(&name, "%s%s", buf_text(&self->name_new), end);
    r = buf_check(&name, err);
    if (r == 0)
        r = directory_remove_file(self->directory, buf_text(&name), err);
    return r == -ENOENT ? 0 : r;
}

static int remove_all(struct restoring *self, struct error *err)
{
    static const char *const ends[] = { "-wal", "-shm", "-journal", "-epoch", "" };
    int r = 0;

    for (size_t i = 0; r == 0 && i < sizeof(ends) / sizeof(ends[0]); i++)
        r = remove_beside(self, ends[i], err);
    return r;
}

/* What is in its log is not in the file. */
static int require_closed(const char *path, struct error *err)
{
    cleanup(buf_release) struct buf log = buf_init(PATH_SIZE);
    cleanup_fd int fd = -1;

    buf_format(&log, "%s-wal", path);
    if (buf_check(&log, err) < 0)
        return -EFBIG;
    if (file_open_read(buf_text(&log), &fd, NULL) == -ENOENT)
        return 0;
    return error_set(err, -EBUSY,
                     "%s is open, or its last user was killed: fsck on that directory closes it",
                     path);
}

static int copy_file(struct restoring *self, struct error *err)
{
    cleanup_fd int from = -1, to = -1;
    struct file_info info;
    int r = file_open_read(self->restore->backup_path, &from, err);

    if (r == 0)
        r = file_info(from, &info, err);
    if (r == 0)
        r = directory_create(self->directory, buf_text(&self->name_new), 0600, &to, err);
    if (r == 0)
        r = file_copy(from, to, info.size, err);
    return r < 0 ? r : file_sync(to, err);
}

static int open_copy(struct restoring *self, struct error *err)
{
    cleanup(buf_release) struct buf location = buf_init(PATH_SIZE);
    struct database_options options = { .migrate = true, .verify = true };
    int r;

    buf_format(&location, "sqlite:%s.new", self->restore->database_path);
    r = buf_check(&location, err);
    options.location = buf_text(&location);
    if (r == 0)
        r = database_open(&options, &self->copy.rows, err);
    if (r == 0)
        r = store_require(self->copy.rows, blob_store_id(self->restore->to), err);
    if (r == 0)
        r = database_copy_settle(self->copy.rows, err);
    return r < 0 ? r : database_copy_tell(self->copy.rows, "store.restore", NULL, err);
}

static int put_in_place(struct restoring *self, struct error *err)
{
    int r;

    self->copy.rows = database_close(self->copy.rows);
    r = remove_beside(self, "-epoch", err);
    if (r == 0)
        r = directory_rename_new(self->directory, buf_text(&self->name_new), self->directory,
                                 self->name, err);
    return r < 0 ? r : directory_sync(self->directory, err);
}

static int open_directory(struct restoring *self, struct error *err)
{
    cleanup_memory char *path = memory_text(self->restore->database_path);
    char *slash = path != NULL ? strrchr(path, '/') : NULL;

    if (path == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    self->name = self->restore->database_path + (slash != NULL ? slash - path + 1 : 0);
    if (slash != NULL)
        slash[slash == path ? 1 : 0] = '\0';
    return directory_open(slash != NULL ? path : ".", &self->directory, err);
}

static int run(struct restoring *self, struct error *err)
{
    int r = open_directory(self, err);

    if (r < 0)
        return r;
    buf_format(&self->name_new, "%s.new", self->name);
    r = buf_check(&self->name_new, err);
    if (r == 0)
        r = require_closed(self->restore->backup_path, err);
    if (r == 0)
        r = remove_all(self, err);
    if (r == 0)
        r = copy_file(self, err);
    if (r == 0)
        r = open_copy(self, err);
    if (r == 0)
        r = object_copy_run(&self->copy, err);
    return r < 0 ? r : put_in_place(self, err);
}

int restore_run(const struct restore *restore, struct backup_result *out, struct error *err)
{
    struct restoring self = {
        .restore = restore,
        .name_new = buf_init(PATH_SIZE),
        .copy = { .from = restore->from, .to = restore->to, .go_on = go_on },
    };
    int r = run(&self, err);

    database_close(self.copy.rows);
    directory_close(self.directory);
    buf_release(&self.name_new);
    if (r == 0)
        *out = (struct backup_result){ .objects = self.copy.objects,
                                       .copied_objects = self.copy.copied_objects,
                                       .copied_bytes = self.copy.copied_bytes,
                                       .damaged = self.copy.damaged };
    return r;
}
