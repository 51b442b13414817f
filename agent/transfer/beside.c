/* SPDX-License-Identifier: MIT */
#include "agent/transfer/beside.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"

#define NAME_MAX_SIZE 255
#define HOME ".kkartifact"

CLEANUP_DEFINE(directory, directory_close);

void beside_release(struct beside *beside)
{
    directory_close(beside->parent);
    memory_free(beside->name);
    memory_free(beside->side);
    *beside = (struct beside){ 0 };
}

static int name_side(struct beside *beside, struct error *err)
{
    cleanup(buf_release) struct buf side = buf_init(BUF_UNLIMITED);
    int r;

    buf_format(&side, ".%s.kkartifact", beside->name);
    r = buf_check(&side, err);
    if (r == 0 && side.size > NAME_MAX_SIZE)
        r = error_set(err, -ENAMETOOLONG, "%s: too long a name for a directory beside it",
                      beside->name);
    if (r < 0)
        return r;
    beside->side = buf_take(&side);
    return beside->side == NULL ? error_set(err, -ENOMEM, "out of memory") : 0;
}

int beside_open(const char *path, struct directory *dest, struct beside *out, struct error *err)
{
    cleanup(beside_release) struct beside beside = { 0 };
    int r = directory_open_parent(path, &beside.parent, &beside.name, err);

    if (r == 0)
        r = name_side(&beside, err);
    if (r == 0)
        r = beside_check(&beside, dest, err);
    if (r < 0)
        return r;
    *out = beside;
    beside = (struct beside){ 0 };
    return 0;
}

int beside_check(const struct beside *beside, struct directory *dest, struct error *err)
{
    struct file_info here, there;
    int r;

    if (beside->parent == NULL)
        return 0;
    r = directory_info(dest, "", &here, err);
    if (r == 0)
        r = directory_info(beside->parent, beside->name, &there, err);
    if (r < 0 && r != -ENOENT)
        return r;
    /* A mount point shows the directory below it in its parent's eyes: that is told later. */
    if (r == -ENOENT || (here.device == there.device && here.inode != there.inode))
        return error_set(err, -EBUSY, "%s: another pull has just put a new tree there",
                         beside->name);
    return 0;
}

static int make_empty(struct directory *home, const char *name, struct error *err)
{
    cleanup_fd int fd = -1;

    directory_remove_file(home, name, NULL);
    return directory_create(home, name, 0600, &fd, err);
}

static int try_exchange(struct directory *home, struct error *err)
{
    struct error told;
    int r = make_empty(home, "exchange-1", err);

    if (r == 0)
        r = make_empty(home, "exchange-2", err);
    if (r == 0) {
        r = directory_exchange(home, "exchange-1", home, "exchange-2", &told);
        if (r == -ENOTSUP)
            error_set(err, r,
                      "this file system cannot exchange two directories: pull without "
                      "--exchange");
        else if (r < 0)
            error_set(err, r, "%s", told.text);
    }
    directory_remove_file(home, "exchange-1", NULL);
    directory_remove_file(home, "exchange-2", NULL);
    return r;
}

int beside_check_exchange(const struct beside *beside, struct directory *dest,
                          struct directory *home, struct error *err)
{
    struct file_info above, here;
    int r;

    if (beside->parent == NULL)
        return 0;
    r = directory_info(beside->parent, "", &above, err);
    if (r == 0)
        r = directory_info(dest, "", &here, err);
    if (r < 0)
        return r;
    if (above.device != here.device)
        return error_set(err, -EXDEV, "%s: is a mount point, which cannot be exchanged",
                         beside->name);
    return home == NULL ? 0 : try_exchange(home, err);
}

static bool has_home(struct directory *side)
{
    struct file_info info;

    return directory_info(side, HOME, &info, NULL) == 0 && info.kind == FILE_DIRECTORY;
}

static int found_one(void *context, const char *name, enum file_kind kind, struct error *err)
{
    return 1;
}

static int remove_but_home(void *context, const char *name, enum file_kind kind, struct error *err)
{
    return strcmp(name, HOME) == 0 ? 0 : directory_remove_all(context, name, err);
}

/* The home goes last: without it what is left would be a stranger's. */
static int empty_side(struct directory *side, const char *name, struct error *err)
{
    int r;

    if (!has_home(side)) {
        r = directory_list(side, "", found_one, NULL, err);
        return r > 0 ? error_set(err, -EEXIST, "%s: is in the way, and is not of any pull", name)
                     : r;
    }
    r = directory_list(side, "", remove_but_home, side, err);
    return r < 0 ? r : directory_remove_all(side, HOME, err);
}

int beside_remove(const struct beside *beside, struct error *err)
{
    cleanup(cleanup_directory) struct directory *side = NULL;
    int r;

    if (beside->parent == NULL)
        return 0;
    r = directory_open_below(beside->parent, beside->side, &side, err);
    if (r == -ENOENT)
        return 0;
    if (r == -EACCES && directory_set_mode(beside->parent, beside->side, 0700, NULL) == 0)
        r = directory_open_below(beside->parent, beside->side, &side, err);
    if (r == 0)
        r = directory_set_mode(side, "", 0700, err);
    if (r == 0)
        r = empty_side(side, beside->side, err);
    return r < 0 ? r : directory_remove_empty(beside->parent, beside->side, err);
}

/* One that an earlier pull has begun. */
static int open_begun(const struct beside *beside, struct directory **out, struct error *err)
{
    cleanup(cleanup_directory) struct directory *side = NULL;
    struct file_info info;
    int r = directory_open_below(beside->parent, beside->side, &side, err);

    if (r == 0)
        r = directory_info(side, BESIDE_INCOMING, &info, err);
    if (r < 0)
        return r;
    *out = side;
    side = NULL;
    return 0;
}

int beside_make(const struct beside *beside, struct directory **out_side, struct error *err)
{
    cleanup(cleanup_directory) struct directory *side = NULL;
    cleanup_fd int fd = -1;
    int r;

    if (open_begun(beside, out_side, NULL) == 0)
        return 0;
    r = beside_remove(beside, err);
    if (r == 0)
        r = directory_make(beside->parent, beside->side, 0700, err);
    if (r == 0)
        r = directory_open_below(beside->parent, beside->side, &side, err);
    if (r == 0)
        r = directory_make(side, HOME, 0700, err);
    if (r == 0)
        r = directory_create(side, BESIDE_INCOMING, 0600, &fd, err);
    if (r < 0)
        return r;
    *out_side = side;
    side = NULL;
    return 0;
}
