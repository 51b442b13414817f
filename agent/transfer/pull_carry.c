/* SPDX-License-Identifier: MIT */
#include "agent/transfer/pull_carry.h"

#include <errno.h>
#include <string.h>

#include "agent/transfer/beside.h"
#include "agent/transfer/pull_survey.h"
#include "agent/transfer/pulled.h"
#include "agent/transfer/transfer.h"
#include "common/base/bytes.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"

#define CONFIGURATION ".kkartifact.yml"
#define HOME ".kkartifact"
#define NOTE_MAX (64 * 1024 * 1024)

struct carrying {
    struct transfer *transfer;
    struct directory *dest, *side;
    struct buf *note; /* each: u64 inode of the copy, 0: none was made; the path, NUL */
    struct buf path;
    uint64_t device;
};

/* The directory above an entry, which is about to be changed: it may be closed to its owner, and
 * its time is a version's. */
struct above {
    struct directory *at;
    char *path; /* NULL: the top */
    struct file_info info;
};

static void above_release(struct above *above)
{
    if (above->path == NULL)
        return;
    directory_set_mtime(above->at, above->path, above->info.mtime_s, NULL);
    directory_set_mode(above->at, above->path, above->info.mode, NULL);
    memory_free(above->path);
}

static int above_open(struct directory *at, const char *path, struct above *out, struct error *err)
{
    const char *slash = strrchr(path, '/');
    struct above above = { .at = at };
    int r;

    if (slash == NULL)
        return 0;
    above.path = memory_copy(path, (size_t)(slash - path));
    if (above.path == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = directory_info(at, above.path, &above.info, err);
    if (r == 0 && (above.info.mode & 0300) != 0300)
        r = directory_set_mode(at, above.path, (above.info.mode & 0777) | 0700, err);
    if (r < 0) {
        memory_free(above.path);
        return r;
    }
    *out = above;
    return 0;
}

/* As the original: who owns it (as far as we may give away), when it was written, who may. */
static int set_like(struct carrying *carrying, const char *path, const struct file_info *info,
                    struct error *err)
{
    int r = 0;

    directory_set_owner_like(carrying->side, path, carrying->dest, path, NULL);
    if (info->kind == FILE_LINK)
        return 0;
    r = directory_set_mtime(carrying->side, path, info->mtime_s, err);
    return r < 0 ? r : directory_set_mode(carrying->side, path, info->mode, err);
}

static int copy_file(struct carrying *carrying, const char *path, struct error *err)
{
    cleanup_fd int from = -1, to = -1;
    struct file_info info;
    int r = directory_open_read(carrying->dest, path, &from, err);

    if (r == 0)
        r = file_info(from, &info, err);
    if (r == 0)
        r = directory_create(carrying->side, path, 0600, &to, err);
    if (r == 0)
        r = file_copy(from, to, info.size, err);
    return r == -EIO ? 0 : r; /* cut by its program meanwhile: the original will come */
}

static int copy_link(struct carrying *carrying, const char *path, struct error *err)
{
    cleanup_memory char *target = NULL;
    int r = directory_read_link(carrying->dest, path, &target, err);

    return r < 0 ? r : directory_make_link(carrying->side, target, path, err);
}

static int copy_entry(struct carrying *carrying, struct error *err);

static int copy_below(void *context, const char *name, enum file_kind kind, struct error *err)
{
    struct carrying *carrying = context;
    size_t size = carrying->path.size;
    int r;

    buf_format(&carrying->path, "/%s", name);
    r = buf_check(&carrying->path, err);
    if (r == 0)
        r = transfer_stopped(carrying->transfer, err);
    if (r == 0)
        r = copy_entry(carrying, err);
    carrying->path.size = size;
    return r;
}

static int copy_directory(struct carrying *carrying, const char *path, uint64_t device,
                          struct error *err)
{
    int r = directory_make(carrying->side, path, 0700, err);

    /* Something mounted there comes with the original. */
    return r < 0 || device != carrying->device
               ? r
               : directory_list(carrying->dest, path, copy_below, carrying, err);
}

/* The entry of dest at carrying->path, with all that is below it, into side. */
static int copy_entry(struct carrying *carrying, struct error *err)
{
    cleanup_memory char *path = memory_text(buf_text(&carrying->path));
    struct file_info info;
    int r;

    if (path == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = directory_info(carrying->dest, path, &info, err);
    if (r == -ENOENT)
        return 0; /* gone meanwhile */
    if (r < 0 || info.kind == FILE_OTHER)
        return r;
    if (info.kind == FILE_REGULAR)
        r = copy_file(carrying, path, err);
    else if (info.kind == FILE_LINK)
        r = copy_link(carrying, path, err);
    else
        r = copy_directory(carrying, path, info.device, err);
    return r < 0 ? r : set_like(carrying, path, &info, err);
}

/* One path that is carried over, from its top. */
static int carry(struct carrying *carrying, const char *path, struct error *err)
{
    cleanup(above_release) struct above above = { 0 };
    struct file_info info = { 0 };
    int r = above_open(carrying->side, path, &above, err);

    if (r == 0)
        r = directory_remove_all(carrying->side, path, err);
    if (r < 0)
        return r;
    buf_clear(&carrying->path);
    buf_add_text(&carrying->path, path);
    r = buf_check(&carrying->path, err);
    if (r == 0)
        r = copy_entry(carrying, err);
    if (r < 0)
        return r;
    if (directory_info(carrying->side, path, &info, NULL) < 0)
        info.inode = 0;
    buf_add_u64(carrying->note, info.inode);
    buf_add_text(carrying->note, path);
    buf_add_byte(carrying->note, 0);
    return buf_check(carrying->note, err);
}

/* A directory on the way to something protected that no version has. */
static int make_way(struct carrying *carrying, const char *path, struct error *err)
{
    cleanup(above_release) struct above above = { 0 };
    struct file_info info;
    int r = directory_info(carrying->dest, path, &info, err);

    if (r == 0)
        r = above_open(carrying->side, path, &above, err);
    if (r == 0)
        r = directory_make(carrying->side, path, 0700, err);
    if (r == 0 || r == -EEXIST)
        r = set_like(carrying, path, &info, err);
    return r;
}

static int carry_protected(struct carrying *carrying, const struct pull_survey *survey,
                           struct error *err)
{
    enum survey_kind kind;
    const char *path;
    size_t at = 0;
    int r = 0;

    while (r == 0 && (path = pull_survey_next(survey, &at, &kind)) != NULL) {
        r = transfer_stopped(carrying->transfer, err);
        if (r == 0 && kind == SURVEY_WAY)
            r = make_way(carrying, path, err);
        else if (r == 0 && kind == SURVEY_PROTECTED)
            r = carry(carrying, path, err);
    }
    return r;
}

/* What others keep in our directory. */
static int carry_from_home(void *context, const char *name, enum file_kind kind, struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(BUF_UNLIMITED);
    int r;

    if (pulled_is_record(name))
        return 0;
    buf_format(&path, HOME "/%s", name);
    r = buf_check(&path, err);
    return r < 0 ? r : carry(context, buf_text(&path), err);
}

int pull_carry_copy(struct transfer *transfer, struct directory *dest, struct directory *side,
                    const struct pull_survey *survey, struct buf *note, struct error *err)
{
    struct carrying carrying = { .transfer = transfer,
                                 .dest = dest,
                                 .side = side,
                                 .note = note,
                                 .path = buf_init(BUF_UNLIMITED) };
    struct file_info info;
    int r = directory_info(dest, "", &info, err);

    carrying.device = info.device;
    if (r == 0 && directory_info(dest, CONFIGURATION, &info, NULL) == 0)
        r = carry(&carrying, CONFIGURATION, err);
    if (r == 0)
        r = directory_list(dest, HOME, carry_from_home, &carrying, err);
    if (r == 0)
        r = carry_protected(&carrying, survey, err);
    buf_release(&carrying.path);
    return transfer_local(transfer, r);
}

int pull_carry_save(struct directory *side, struct span note, struct error *err)
{
    static const char beside[] = BESIDE_INCOMING ".new";
    cleanup_fd int fd = -1;
    int r;

    directory_remove_file(side, beside, NULL);
    r = directory_create(side, beside, 0600, &fd, err);
    if (r == 0)
        r = file_write(fd, note.bytes, note.size, err);
    if (r == 0)
        r = file_sync_data(fd, err);
    return r < 0 ? r : directory_rename(side, beside, side, BESIDE_INCOMING, err);
}

/* The copy and the original change places, unless they have, or somebody has put something else
 * where the copy was. */
static int change_places(struct directory *dest, struct directory *side, const char *path,
                         uint64_t copy, struct error *err)
{
    cleanup(above_release) struct above here = { 0 }, there = { 0 };
    struct file_info info;
    bool is_there;
    int r;

    is_there = directory_info(dest, path, &info, NULL) == 0;
    if ((is_there ? info.inode : 0) != copy || directory_info(side, path, &info, NULL) < 0)
        return 0;
    r = above_open(dest, path, &here, err);
    if (r == 0)
        r = above_open(side, path, &there, err);
    if (r < 0)
        return r;
    return is_there ? directory_exchange(dest, path, side, path, err)
                    : directory_rename_new(side, path, dest, path, err);
}

static int read_note(struct directory *dest, struct buf *out, struct error *err)
{
    cleanup_fd int fd = -1;
    struct file_info info;
    size_t size = 0;
    uint8_t *at;
    int r = directory_open_read(dest, BESIDE_INCOMING, &fd, err);

    if (r == 0)
        r = file_info(fd, &info, err);
    if (r < 0)
        return r;
    if (info.size > NOTE_MAX)
        return error_set(err, -EBADMSG, BESIDE_INCOMING ": is too large");
    at = buf_reserve(out, (size_t)info.size + 1);
    if (at == NULL)
        return buf_check(out, err);
    r = file_read(fd, at, (size_t)info.size, &size, err);
    buf_added(out, r == 0 ? size : 0);
    return r;
}

int pull_carry_finish(struct directory *dest, struct directory *side, struct error *err)
{
    cleanup(buf_release) struct buf note = buf_init(NOTE_MAX + 1);
    struct span rest;
    int r = read_note(dest, &note, err);

    if (r == -ENOENT)
        return 0;
    rest = buf_span(&note);
    while (r == 0 && side != NULL && rest.size > sizeof(uint64_t)) {
        uint64_t copy = bytes_u64(rest.bytes);
        struct span path;
        rest = span_slice(rest, sizeof(uint64_t), rest.size);
        if (memchr(rest.bytes, 0, rest.size) == NULL)
            break; /* cut: it was never whole, so neither was an exchange */
        span_cut(&rest, 0, &path);
        r = change_places(dest, side, (const char *)path.bytes, copy, err);
    }
    if (r == 0)
        r = directory_remove_file(dest, BESIDE_INCOMING, err);
    return r;
}
