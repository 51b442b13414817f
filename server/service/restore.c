/* SPDX-License-Identifier: MIT */
#include "server/service/restore.h"

#include <errno.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "server/db/database.h"
#include "server/db/database_copy.h"
#include "server/db/store.h"
#include "server/service/new_database.h"
#include "server/service/object_copy.h"
#include "server/storage/blob_store.h"

#define PATH_SIZE 4096

struct restoring {
    const struct restore *restore;
    struct new_database place;
    struct object_copy copy;
};

static int go_on(void *context, struct error *err)
{
    return 0;
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
        r = directory_create(self->place.directory, buf_text(&self->place.name_new), 0600, &to,
                             err);
    if (r == 0)
        r = file_copy(from, to, info.size, err);
    return r < 0 ? r : file_sync(to, err);
}

static int open_copy(struct restoring *self, struct error *err)
{
    struct database_options options = { .location = buf_text(&self->place.location),
                                        .migrate = true,
                                        .verify = true };
    int r = database_open(&options, &self->copy.rows, err);

    if (r == 0)
        r = store_require(self->copy.rows, blob_store_id(self->restore->to), err);
    if (r == 0)
        r = database_copy_settle(self->copy.rows, err);
    return r < 0 ? r : database_copy_tell(self->copy.rows, "store.restore", NULL, err);
}

static int run(struct restoring *self, struct error *err)
{
    int r = require_closed(self->restore->backup_path, err);

    if (r == 0)
        r = new_database_begin(&self->place, self->restore->database_path, err);
    if (r == 0)
        r = new_database_require_place(&self->place, err);
    if (r == 0)
        r = copy_file(self, err);
    if (r == 0)
        r = open_copy(self, err);
    if (r == 0)
        r = object_copy_run(&self->copy, err);
    self->copy.rows = database_close(self->copy.rows);
    return r < 0 ? r : new_database_place(&self->place, false, err);
}

int restore_run(const struct restore *restore, struct backup_result *out, struct error *err)
{
    struct restoring self = {
        .restore = restore,
        .copy = { .from = restore->from,
                  .to = restore->to,
                  .go_on = go_on,
                  .lacking = &out->lacking },
    };
    int r = run(&self, err);

    new_database_release(&self.place);
    if (r == 0)
        r = buf_check(&out->lacking, err);
    backup_result_fill(out, &self.copy);
    return r;
}
