/* SPDX-License-Identifier: MIT */
#include "server/service/new_database.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"

#define PATH_SIZE 4096

static int open_directory(struct new_database *self, const char *path, struct error *err)
{
    cleanup_memory char *copy = memory_text(path);
    char *slash = copy != NULL ? strrchr(copy, '/') : NULL;

    if (copy == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    self->name = path + (slash != NULL ? slash - copy + 1 : 0);
    if (slash != NULL)
        slash[slash == copy ? 1 : 0] = '\0';
    return directory_open(slash != NULL ? copy : ".", &self->directory, err);
}

/* `end` of the name of the new one, or of the old one. */
static int remove_beside(struct new_database *self, const char *name, const char *end,
                         struct error *err)
{
    cleanup(buf_release) struct buf whole = buf_init(PATH_SIZE);
    int r;

    buf_format(&whole, "%s%s", name, end);
    r = buf_check(&whole, err);
    if (r == 0)
        r = directory_remove_file(self->directory, buf_text(&whole), err);
    return r == -ENOENT ? 0 : r;
}

int new_database_remove(struct new_database *self, struct error *err)
{
    static const char *const ends[] = { "-wal", "-shm", "-journal", "-epoch", "" };
    int r = 0;

    for (size_t i = 0; r == 0 && i < sizeof(ends) / sizeof(ends[0]); i++)
        r = remove_beside(self, buf_text(&self->name_new), ends[i], err);
    return r;
}

int new_database_begin(struct new_database *self, const char *path, struct error *err)
{
    int r = open_directory(self, path, err);

    self->name_new = buf_init(PATH_SIZE);
    self->location = buf_init(PATH_SIZE);
    buf_format(&self->location, "sqlite:%s.new", path);
    if (r == 0)
        buf_format(&self->name_new, "%s.new", self->name);
    if (r == 0)
        r = buf_check(&self->name_new, err);
    if (r == 0)
        r = buf_check(&self->location, err);
    return r < 0 ? r : new_database_remove(self, err);
}

/* A log that is there would be taken for the new one's. */
static int require_no_log(struct new_database *self, const char *name, struct error *err)
{
    cleanup(buf_release) struct buf log = buf_init(PATH_SIZE);
    struct file_info info;
    int r;

    buf_format(&log, "%s-wal", name);
    r = buf_check(&log, err);
    if (r == 0 && directory_info(self->directory, buf_text(&log), &info, NULL) == 0)
        r = error_set(
            err, -EBUSY,
            "%s is there: the database is open, or is lost and its log is to be moved away",
            buf_text(&log));
    return r;
}

int new_database_require_place(struct new_database *self, struct error *err)
{
    return require_no_log(self, self->name, err);
}

int new_database_place(struct new_database *self, bool replace, struct error *err)
{
    int r = require_no_log(self, buf_text(&self->name_new), err);

    if (r == 0)
        r = require_no_log(self, self->name, err);
    if (r == 0)
        r = remove_beside(self, buf_text(&self->name_new), "-epoch", err);
    if (r == 0)
        r = (replace ? directory_rename : directory_rename_new)(self->directory,
                                                                buf_text(&self->name_new),
                                                                self->directory, self->name, err);
    return r < 0 ? r : directory_sync(self->directory, err);
}

void new_database_release(struct new_database *self)
{
    self->directory = directory_close(self->directory);
    buf_release(&self->name_new);
    buf_release(&self->location);
}
