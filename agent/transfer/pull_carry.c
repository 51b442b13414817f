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

CLEANUP_DEFINE(directory, directory_close);

#define CONFIGURATION ".kkartifact.yml"
#define HOME ".kkartifact"
#define NOTE_MAX (64 * 1024 * 1024)

struct carrying {
    struct transfer *transfer;
    struct directory *dest, *side;
    struct buf *note; /* each: u64 inode of the copy, 0: none was made; the path, NUL */
    uint64_t device;
};

/*
 * What is protected may be a service's own, and the agent root: what stands at a path can be
 * another thing at each look. So everything is opened once, and what is open says what it is, whose
 * it is, and what it holds. The copies are in nobody's way: nobody else may write where they are
 * made.
 */

/* Who may do what with a copy. Set-uid and set-gid are nothing that a copy made by us may have; a
 * directory keeps what it says about what is made in it. Whose owner cannot be given (by all but
 * root) would open to our group what was another's. */
static uint32_t mode_of_copy(const struct file_info *original, bool is_given)
{
    uint32_t mode = original->mode & (original->kind == FILE_DIRECTORY ? 03777u : 0777u);

    return is_given ? mode : (mode & 01707u) | ((mode & 07u) << 3 & mode);
}

static int give_file(int fd, const struct file_info *original, struct error *err)
{
    bool is_given = file_set_owner(fd, original->owner, original->group, NULL) == 0;
    int r = file_set_mtime(fd, original->mtime_s, err);

    return r < 0 ? r : file_set_mode(fd, mode_of_copy(original, is_given), err);
}

static int give_directory(struct directory *at, const struct file_info *original, struct error *err)
{
    bool is_given = directory_set_owner(at, "", original->owner, original->group, NULL) == 0;
    int r = directory_set_mtime(at, "", original->mtime_s, err);

    return r < 0 ? r : directory_set_mode(at, "", mode_of_copy(original, is_given), err);
}

/* The path above, "" above the top, which is memory_free()d; and the last name, which lies in
 * `path`. */
static char *parent_of(const char *path, const char **out_name)
{
    const char *slash = strrchr(path, '/');

    *out_name = slash == NULL ? path : slash + 1;
    return memory_copy(path, slash == NULL ? 0 : (size_t)(slash - path));
}

/* The directory above an entry, and the entry's name in it. */
static int open_parent(struct directory *at, const char *path, struct directory **out,
                       const char **out_name, struct error *err)
{
    cleanup_memory char *parent = parent_of(path, out_name);

    if (parent == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    return directory_open_below(at, parent, out, err);
}

/* The same where something is about to be changed: it may be closed to its owner, and its time is a
 * version's. */
struct above {
    struct directory *at;
    const char *name;
    struct file_info info; /* to be so again */
    bool is_top, is_changed;
};

static void above_release(struct above *above)
{
    if (above->at != NULL && !above->is_top)
        directory_set_mtime(above->at, "", above->info.mtime_s, NULL);
    if (above->at != NULL && above->is_changed)
        directory_set_mode(above->at, "", above->info.mode, NULL);
    directory_close(above->at);
}

/* One that its owner may not even read has to be changed before it is opened: by a user, who has
 * nothing of others to lose. */
static int open_closed(struct directory *at, const char *path, struct above *above,
                       struct error *err)
{
    cleanup_memory char *parent = parent_of(path, &above->name);
    struct file_info info;
    int r = parent == NULL ? error_set(err, -ENOMEM, "out of memory")
                           : directory_info(at, parent, &info, err);

    if (r == 0)
        r = directory_set_mode(at, parent, (info.mode & 0777) | 0700, err);
    if (r == 0)
        r = directory_open_below(at, parent, &above->at, err);
    if (r < 0)
        return r;
    above->is_changed = true;
    above->info = info;
    return 0;
}

static int above_open(struct directory *at, const char *path, struct above *above,
                      struct error *err)
{
    int r = open_parent(at, path, &above->at, &above->name, err);

    above->is_top = strchr(path, '/') == NULL;
    if (r == -EACCES)
        return open_closed(at, path, above, err);
    if (r == 0)
        r = directory_info(above->at, "", &above->info, err);
    if (r < 0 || above->is_top || (above->info.mode & 0300) == 0300)
        return r;
    above->is_changed = true;
    return directory_set_mode(above->at, "", (above->info.mode & 0777) | 0700, err);
}

/* It went, or became something else, while we looked: the original will come all the same. */
static int unless_changed(int r)
{
    return r == -ENOENT || r == -ELOOP || r == -ENOTDIR || r == -EINVAL ? 0 : r;
}

static int copy_file(struct directory *from_at, struct directory *to_at, const char *name,
                     struct error *err)
{
    cleanup_fd int from = -1, to = -1;
    struct file_info info;
    int r = directory_open_read(from_at, name, &from, err);

    if (r < 0)
        return unless_changed(r);
    r = file_info(from, &info, err);
    if (r == 0)
        r = directory_create(to_at, name, 0600, &to, err);
    if (r == 0)
        r = file_copy(from, to, info.size, err);
    if (r == -EIO) /* cut by its program meanwhile */
        r = 0;
    return r < 0 ? r : give_file(to, &info, err);
}

static int copy_link(struct directory *from_at, struct directory *to_at, const char *name,
                     const struct file_info *seen, struct error *err)
{
    cleanup_memory char *target = NULL;
    struct file_info info;
    int r = directory_read_link(from_at, name, &target, err);

    if (r < 0)
        return unless_changed(r);
    if (directory_info(from_at, name, &info, NULL) < 0 || !file_info_unchanged(seen, &info))
        return 0;
    r = directory_make_link(to_at, target, name, err);
    if (r == 0)
        directory_set_owner(to_at, name, info.owner, info.group, NULL);
    return r;
}

/* A directory and its copy, both open. */
struct level {
    struct carrying *carrying;
    struct directory *from, *to;
};

static int copy_entry(const struct level *level, const char *name, struct error *err);

static int copy_below(void *context, const char *name, enum file_kind kind, struct error *err)
{
    const struct level *level = context;
    int r = transfer_stopped(level->carrying->transfer, err);

    return r < 0 ? r : copy_entry(level, name, err);
}

static int copy_directory(const struct level *level, const char *name, struct error *err)
{
    struct carrying *carrying = level->carrying;
    cleanup(cleanup_directory) struct directory *from = NULL;
    cleanup(cleanup_directory) struct directory *to = NULL;
    struct level below = { .carrying = carrying };
    struct file_info info;
    int r = directory_open_below(level->from, name, &from, err);

    if (r < 0)
        return unless_changed(r);
    r = directory_info(from, "", &info, err);
    if (r == 0)
        r = directory_make(level->to, name, 0700, err);
    if (r == 0)
        r = directory_open_below(level->to, name, &to, err);
    below.from = from;
    below.to = to;
    /* Something mounted there comes with the original. */
    if (r == 0 && info.device == carrying->device)
        r = directory_list(from, "", copy_below, &below, err);
    return r < 0 ? r : give_directory(to, &info, err);
}

/* The entry of a directory, with all that is below it. */
static int copy_entry(const struct level *level, const char *name, struct error *err)
{
    struct file_info info;
    int r = directory_info(level->from, name, &info, err);

    if (r == -ENOENT)
        return 0; /* gone meanwhile */
    if (r < 0 || info.kind == FILE_OTHER)
        return r;
    if (info.kind == FILE_REGULAR)
        return copy_file(level->from, level->to, name, err);
    if (info.kind == FILE_LINK)
        return copy_link(level->from, level->to, name, &info, err);
    return copy_directory(level, name, err);
}

/* One path that is carried over, from its top. */
static int carry(struct carrying *carrying, const char *path, struct error *err)
{
    cleanup(above_release) struct above there = { 0 };
    cleanup(cleanup_directory) struct directory *here = NULL;
    const char *name;
    struct file_info info = { 0 };
    int r = above_open(carrying->side, path, &there, err);

    if (r == 0)
        r = directory_remove_all(there.at, there.name, err);
    if (r == 0)
        r = open_parent(carrying->dest, path, &here, &name, err);
    if (r == 0)
        r = copy_entry(&(struct level){ carrying, here, there.at }, name, err);
    if (r < 0)
        return r;
    if (directory_info(there.at, there.name, &info, NULL) < 0)
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
    cleanup(cleanup_directory) struct directory *from = NULL;
    cleanup(cleanup_directory) struct directory *to = NULL;
    struct file_info info;
    int r = directory_open_below(carrying->dest, path, &from, err);

    if (r == 0)
        r = directory_info(from, "", &info, err);
    if (r == 0)
        r = above_open(carrying->side, path, &above, err);
    if (r == 0)
        r = directory_make(above.at, above.name, 0700, err);
    if (r == 0 || r == -EEXIST)
        r = directory_open_below(above.at, above.name, &to, err);
    return r < 0 ? r : give_directory(to, &info, err);
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
    struct carrying carrying = { .transfer = transfer, .dest = dest, .side = side, .note = note };
    struct file_info info;
    int r = directory_info(dest, "", &info, err);

    carrying.device = info.device;
    if (r == 0 && directory_info(dest, CONFIGURATION, &info, NULL) == 0)
        r = carry(&carrying, CONFIGURATION, err);
    if (r == 0)
        r = directory_list(dest, HOME, carry_from_home, &carrying, err);
    if (r == 0)
        r = carry_protected(&carrying, survey, err);
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
    return is_there ? directory_exchange(here.at, here.name, there.at, there.name, err)
                    : directory_rename_new(there.at, there.name, here.at, here.name, err);
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
