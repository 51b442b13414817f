/* SPDX-License-Identifier: MIT */
#include "agent/transfer/get_work.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/random.h"

#define PREFIX ".kkartifact-get-"
#define DIGITS 16
#define LOCK "lock"
#define STAGE "stage"
#define TRIES 5

CLEANUP_DEFINE(directory, directory_close);

struct get_work get_work_init(struct directory *parent)
{
    return (struct get_work){ .parent = parent, .name = buf_init(64), .lock_fd = -1 };
}

void get_work_release(struct get_work *work)
{
    directory_close(work->stage);
    directory_close(work->made);
    cleanup_fd_at(&work->lock_fd);
    if (work->name.size > 0)
        directory_remove_all(work->parent, buf_text(&work->name), NULL);
    buf_release(&work->name);
}

/* A directory of a new name, locked. -ENOENT, -EBUSY: another get swept it away before it was. */
static int make_locked(struct get_work *work, struct directory **out, struct error *err)
{
    cleanup(cleanup_directory) struct directory *at = NULL;
    cleanup_fd int fd = -1;
    struct file_info info;
    uint64_t number;
    int r = random_bytes(&number, sizeof(number), err);

    if (r < 0)
        return r;
    buf_clear(&work->name);
    buf_format(&work->name, PREFIX "%016llx", (unsigned long long)number);
    r = buf_check(&work->name, err);
    if (r == 0)
        r = directory_make(work->parent, buf_text(&work->name), 0700, err);
    if (r < 0) {
        buf_clear(&work->name);
        return r;
    }
    r = directory_open_below(work->parent, buf_text(&work->name), &at, err);
    if (r == 0)
        r = directory_create(at, LOCK, 0600, &fd, err);
    if (r == 0)
        r = file_lock(fd, err);
    if (r == 0)
        r = directory_info(at, LOCK, &info, err);
    if (r < 0)
        return r;
    work->lock_fd = take_fd(&fd);
    *out = take_pointer(&at);
    return 0;
}

int get_work_make(struct get_work *work, struct error *err)
{
    cleanup(cleanup_directory) struct directory *at = NULL;
    int r = -EBUSY;

    for (int i = 0; i < TRIES && (r == -EBUSY || r == -ENOENT); i++)
        r = make_locked(work, &at, err);
    if (r == 0)
        r = directory_make(at, STAGE, 0700, err);
    if (r == 0)
        r = directory_make(at, GET_WORK_TREE, 0700, err);
    if (r == 0)
        r = directory_open_below(at, STAGE, &work->stage, err);
    return r < 0 ? r : directory_open_below(at, GET_WORK_TREE, &work->made, err);
}

static bool is_name(const char *name)
{
    size_t size = strlen(PREFIX);

    return strncmp(name, PREFIX, size) == 0 && strlen(name) == size + DIGITS &&
           strspn(name + size, "0123456789abcdef") == DIGITS;
}

/* What is in it goes under its lock, which goes last: who waits for it sees that it is gone. In a
 * directory for everybody somebody else's is left to them. */
static int sweep_one(void *context, const char *name, enum file_kind kind, struct error *err)
{
    struct directory *parent = context;
    cleanup(cleanup_directory) struct directory *at = NULL;
    struct file_info info;
    int fd = -1;

    if (!is_name(name) || directory_open_below(parent, name, &at, NULL) < 0 ||
        directory_info(at, "", &info, NULL) < 0 || !file_info_is_mine(&info))
        return 0;
    if (directory_open_write(at, LOCK, &fd, NULL) == 0 && file_lock(fd, NULL) == 0) {
        directory_remove_all(at, STAGE, NULL);
        directory_remove_all(at, GET_WORK_TREE, NULL);
        directory_remove_file(at, LOCK, NULL);
    }
    cleanup_fd_at(&fd);
    at = directory_close(at);
    directory_remove_empty(parent, name, NULL);
    return 0;
}

void get_work_sweep(struct directory *parent)
{
    directory_list(parent, "", sweep_one, parent, NULL);
}
