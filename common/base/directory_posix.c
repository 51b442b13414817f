/* SPDX-License-Identifier: MIT */
#include "common/base/directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/openat2.h>
#include <sys/syscall.h>
#endif

#include "common/base/cleanup.h"
#include "common/base/directory_path.h"
#include "common/base/error.h"
#include "common/base/file_stat.h"
#include "common/base/memory.h"

#ifdef O_PATH
#define OPEN_TO_PASS (O_PATH | O_DIRECTORY | O_CLOEXEC)
#else
#define OPEN_TO_PASS (O_RDONLY | O_DIRECTORY | O_CLOEXEC)
#endif

#define NAME_SIZE 256
#define REMOVE_DEPTH_MAX 300 /* FORMATS 1 allows 255 */
#define LINK_TARGET_MAX 4095

struct directory {
    int fd;
    atomic_bool walks; /* openat2 is not there, or not wanted */
};

static int wrap_fd(int *fd, bool walks, struct directory **out_directory, struct error *err)
{
    struct directory *directory = memory_new(sizeof(*directory));

    if (directory == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    directory->fd = take_fd(fd);
    atomic_init(&directory->walks, walks);
    *out_directory = directory;
    return 0;
}

int directory_open(const char *path, struct directory **out_directory, struct error *err)
{
    cleanup_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return error_system(err, errno, "%s", path);
    return wrap_fd(&fd, false, out_directory, err);
}

int directory_real_path(const char *path, char **out, struct error *err)
{
    char *whole = realpath(path, NULL); /* libc's memory: free() it */
    char *copy;

    if (whole == NULL)
        return error_system(err, errno, "%s", path);
    copy = memory_text(whole);
    free(whole);
    if (copy == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    *out = copy;
    return 0;
}

int directory_open_parent(const char *path, struct directory **out_parent, char **out_name,
                          struct error *err)
{
    char *whole = realpath(path, NULL); /* libc's memory: free() it */
    cleanup_memory char *name = NULL;
    char *slash;
    int r;

    if (whole == NULL)
        return error_system(err, errno, "%s", path);
    slash = strrchr(whole, '/');
    if (slash[1] == '\0') {
        free(whole);
        return error_set(err, -EINVAL, "%s: is not inside of a directory", path);
    }
    name = memory_text(slash + 1);
    slash[slash == whole] = '\0'; /* of "/name" the slash stays */
    r = name == NULL ? error_set(err, -ENOMEM, "out of memory")
                     : directory_open(whole, out_parent, err);
    free(whole);
    if (r < 0)
        return r;
    *out_name = name;
    name = NULL;
    return 0;
}

struct directory *directory_close(struct directory *directory)
{
    if (directory == NULL)
        return NULL;
    cleanup_fd_at(&directory->fd);
    return memory_free(directory);
}

int directory_fd(const struct directory *directory)
{
    return directory->fd;
}

void directory_use_walk(struct directory *directory)
{
    atomic_store(&directory->walks, true);
}

/* One component below `fd`, never a link (ELOOP). */
static int open_component(int fd, const char *name, int flags, uint32_t mode)
{
    struct stat st;
    int opened, saved;

    do {
        opened = openat(fd, name, flags | O_NOFOLLOW | O_CLOEXEC, (mode_t)mode);
    } while (opened < 0 && errno == EINTR);
    if (opened >= 0 || errno != ENOTDIR)
        return opened;
    /* With O_DIRECTORY a link is told as ENOTDIR. */
    saved = errno;
    if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode))
        saved = ELOOP;
    errno = saved;
    return -1;
}

/* The descriptor of the path's last directory, by components; *out_name is what stands behind
 * it. */
static int walk_to_parent(int root_fd, const char *path, const char **out_name)
{
    cleanup_fd int at = -1;

    for (;;) {
        char name[NAME_SIZE];
        const char *slash = strchr(path, '/');
        size_t size = slash != NULL ? (size_t)(slash - path) : 0;
        int next;
        if (slash == NULL)
            break;
        if (size >= sizeof(name)) {
            errno = ENAMETOOLONG;
            return -1;
        }
        memcpy(name, path, size);
        name[size] = '\0';
        next = open_component(at >= 0 ? at : root_fd, name, OPEN_TO_PASS, 0);
        if (next < 0)
            return -1;
        cleanup_fd_at(&at);
        at = next;
        path = slash + 1;
    }
    *out_name = path;
    return take_fd(&at);
}

#ifdef __linux__
/* -1 with EAGAIN also when openat2 cannot be used here and the walk has to be taken. */
static int open_directly(struct directory *at, const char *path, int flags, uint32_t mode)
{
    struct open_how how = { .flags = (uint64_t)(flags | O_CLOEXEC),
                            .mode = (flags & O_CREAT) != 0 ? mode : 0,
                            .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };

    for (int tries = 0; !atomic_load(&at->walks) && tries < 8; tries++) {
        long fd = syscall(SYS_openat2, at->fd, path, &how, sizeof(how));
        if (fd >= 0)
            return (int)fd;
        if (errno == ENOSYS || errno == EPERM) /* no such call, or a filter that knows it not */
            atomic_store(&at->walks, true);
        else if (errno == ENAMETOOLONG) /* the whole path: components may be fine */
            break;
        else if (errno != EAGAIN && errno != EINTR)
            return -1;
    }
    errno = EAGAIN;
    return -1;
}
#else
static int open_directly(struct directory *at, const char *path, int flags, uint32_t mode)
{
    errno = EAGAIN;
    return -1;
}
#endif

/* Opens `path` beneath the directory. -1 and errno. */
static int open_beneath(struct directory *at, const char *path, int flags, uint32_t mode)
{
    cleanup_fd int parent = -1;
    const char *name = path;
    int fd = open_directly(at, path[0] == '\0' ? "." : path, flags, mode);

    if (fd >= 0 || errno != EAGAIN)
        return fd;
    if (path[0] == '\0')
        return openat(at->fd, ".", flags | O_CLOEXEC, (mode_t)mode);
    if (strchr(path, '/') != NULL) {
        parent = walk_to_parent(at->fd, path, &name);
        if (parent < 0)
            return -1;
    }
    return open_component(parent >= 0 ? parent : at->fd, name, flags, mode);
}

/* Where a call of the *at family does its work: a descriptor to use, and the last name. */
struct spot {
    int fd;    /* to use */
    int owned; /* to close, or -1 when it is the directory's own */
    const char *name;
};

static void spot_release(struct spot *spot)
{
    cleanup_fd_at(&spot->owned);
}

static int open_parent(struct directory *at, const char *path, size_t size)
{
    char parent[4097];
    const char *name;

    if (size < sizeof(parent)) {
        int fd;
        memcpy(parent, path, size);
        parent[size] = '\0';
        fd = open_directly(at, parent, OPEN_TO_PASS, 0);
        if (fd >= 0 || errno != EAGAIN)
            return fd;
    }
    return walk_to_parent(at->fd, path, &name);
}

static int find_spot(struct directory *at, const char *path, struct spot *out, struct error *err)
{
    const char *slash = strrchr(path, '/');
    int r = directory_path_check(path, err);

    if (r < 0)
        return r;
    if (path[0] == '\0')
        return error_set(err, -EINVAL, "a directory cannot be its own entry");
    if (slash == NULL) {
        *out = (struct spot){ at->fd, -1, path };
        return 0;
    }
    out->owned = open_parent(at, path, (size_t)(slash - path));
    if (out->owned < 0)
        return error_system(err, errno, "%s", path);
    out->fd = out->owned;
    out->name = slash + 1;
    return 0;
}

#define SPOT_NONE ((struct spot){ -1, -1, NULL })

/* `result` of a system call on `path`: 0, or the error told. */
static int told(int result, const char *path, struct error *err)
{
    return result == 0 ? 0 : error_system(err, errno, "%s", path[0] == '\0' ? "." : path);
}

int directory_open_below(struct directory *at, const char *path, struct directory **out_directory,
                         struct error *err)
{
    cleanup_fd int fd = -1;
    int r = directory_path_check(path, err);

    if (r < 0)
        return r;
    fd = open_beneath(at, path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return told(-1, path, err);
    return wrap_fd(&fd, atomic_load(&at->walks), out_directory, err);
}

int directory_info(struct directory *at, const char *path, struct file_info *out, struct error *err)
{
    cleanup(spot_release) struct spot spot = SPOT_NONE;
    struct stat st;
    int r;

    if (path[0] == '\0') {
        r = fstat(at->fd, &st);
    } else {
        r = find_spot(at, path, &spot, err);
        if (r < 0)
            return r;
        r = fstatat(spot.fd, spot.name, &st, AT_SYMLINK_NOFOLLOW);
    }
    if (r == 0)
        *out = file_info_of_stat(&st);
    return told(r, path, err);
}

/* Opens what must be a regular file; never blocks, whatever stands there. */
static int open_regular(struct directory *at, const char *path, int flags, int *out_fd,
                        struct error *err)
{
    cleanup_fd int fd = -1;
    struct stat st;
    int r = directory_path_check(path, err);

    if (r < 0)
        return r;
    fd = open_beneath(at, path, flags | O_NONBLOCK | O_NOCTTY, 0);
    if (fd < 0 || fstat(fd, &st) != 0)
        return told(-1, path, err);
    if (!S_ISREG(st.st_mode))
        return error_set(err, -EINVAL, "%s: is not a regular file", path);
    *out_fd = take_fd(&fd);
    return 0;
}

int directory_open_read(struct directory *at, const char *path, int *out_fd, struct error *err)
{
    return open_regular(at, path, O_RDONLY, out_fd, err);
}

int directory_open_write(struct directory *at, const char *path, int *out_fd, struct error *err)
{
    return open_regular(at, path, O_RDWR, out_fd, err);
}

int directory_create(struct directory *at, const char *path, uint32_t mode, int *out_fd,
                     struct error *err)
{
    cleanup_fd int fd = -1;
    int r = directory_path_check(path, err);

    if (r < 0)
        return r;
    fd = open_beneath(at, path, O_RDWR | O_CREAT | O_EXCL, mode & 0777);
    if (fd < 0 || fchmod(fd, (mode_t)mode) != 0)
        return told(-1, path, err);
    *out_fd = take_fd(&fd);
    return 0;
}

int directory_make(struct directory *at, const char *path, uint32_t mode, struct error *err)
{
    cleanup(spot_release) struct spot spot = SPOT_NONE;
    int r = find_spot(at, path, &spot, err);

    return r < 0 ? r : told(mkdirat(spot.fd, spot.name, (mode_t)mode), path, err);
}

int directory_remove_file(struct directory *at, const char *path, struct error *err)
{
    cleanup(spot_release) struct spot spot = SPOT_NONE;
    int r = find_spot(at, path, &spot, err);

    return r < 0 ? r : told(unlinkat(spot.fd, spot.name, 0), path, err);
}

int directory_remove_empty(struct directory *at, const char *path, struct error *err)
{
    cleanup(spot_release) struct spot spot = SPOT_NONE;
    int r = find_spot(at, path, &spot, err);

    return r < 0 ? r : told(unlinkat(spot.fd, spot.name, AT_REMOVEDIR), path, err);
}

static void close_stream(DIR **at)
{
    if (*at != NULL)
        closedir(*at);
}

/* A stream over a descriptor, which it takes. */
static DIR *open_stream(int *fd)
{
    DIR *stream = fdopendir(*fd);

    if (stream != NULL)
        take_fd(fd);
    return stream;
}

static bool is_dots(const char *name)
{
    return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

static int remove_below(int parent_fd, const char *name, int depth);

/* Everything in the open directory. -1 and errno. */
static int empty_directory(int *fd, int depth)
{
    cleanup(close_stream) DIR *stream = open_stream(fd);
    struct dirent *entry;

    if (stream == NULL)
        return -1;
    for (errno = 0; (entry = readdir(stream)) != NULL; errno = 0) {
        if (!is_dots(entry->d_name) && remove_below(dirfd(stream), entry->d_name, depth) != 0)
            return -1;
    }
    return errno != 0 ? -1 : 0;
}

/* Opens a directory to empty it. One that its owner may not read, enter or write to is made so;
 * what is opened is what is changed, whatever somebody puts at the name meanwhile. */
static int open_to_empty(int parent_fd, const char *name)
{
    cleanup_fd int fd = open_component(parent_fd, name, O_RDONLY | O_DIRECTORY, 0);
    struct stat st;

    if (fd < 0 && errno == EACCES && fchmodat(parent_fd, name, S_IRWXU, AT_SYMLINK_NOFOLLOW) == 0)
        fd = open_component(parent_fd, name, O_RDONLY | O_DIRECTORY, 0);
    if (fd >= 0 && fstat(fd, &st) == 0 && (st.st_mode & S_IRWXU) != S_IRWXU)
        (void)!fchmod(fd, S_IRWXU);
    return take_fd(&fd);
}

/* A name and what is below it; absent is fine. */
static int remove_below(int parent_fd, const char *name, int depth)
{
    cleanup_fd int fd = -1;
    struct stat st;

    if (fstatat(parent_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : -1;
    if (!S_ISDIR(st.st_mode))
        return unlinkat(parent_fd, name, 0) != 0 && errno != ENOENT ? -1 : 0;
    if (depth >= REMOVE_DEPTH_MAX) {
        errno = ELOOP;
        return -1;
    }
    fd = open_to_empty(parent_fd, name);
    if (fd < 0 || empty_directory(&fd, depth + 1) != 0)
        return errno == ENOENT ? 0 : -1;
    return unlinkat(parent_fd, name, AT_REMOVEDIR) != 0 && errno != ENOENT ? -1 : 0;
}

int directory_remove_all(struct directory *at, const char *path, struct error *err)
{
    cleanup(spot_release) struct spot spot = SPOT_NONE;
    int r = find_spot(at, path, &spot, err);

    if (r == -ENOENT || r == -ENOTDIR)
        return 0;
    return r < 0 ? r : told(remove_below(spot.fd, spot.name, 0), path, err);
}

int directory_rename(struct directory *at, const char *from, struct directory *to_at,
                     const char *to, struct error *err)
{
    cleanup(spot_release) struct spot source = SPOT_NONE, target = SPOT_NONE;
    int r = find_spot(at, from, &source, err);

    if (r == 0)
        r = find_spot(to_at, to, &target, err);
    return r < 0 ? r : told(renameat(source.fd, source.name, target.fd, target.name), to, err);
}

/* -1 and errno EINVAL when the system or the file system cannot. */
static int rename_exclusively(const struct spot *source, const struct spot *target)
{
#if defined(__APPLE__)
    return renameatx_np(source->fd, source->name, target->fd, target->name, RENAME_EXCL);
#elif defined(SYS_renameat2)
    return (int)syscall(SYS_renameat2, source->fd, source->name, target->fd, target->name, 1u);
#else
    errno = EINVAL;
    return -1;
#endif
}

int directory_rename_new(struct directory *at, const char *from, struct directory *to_at,
                         const char *to, struct error *err)
{
    cleanup(spot_release) struct spot source = SPOT_NONE, target = SPOT_NONE;
    int r = find_spot(at, from, &source, err);

    if (r == 0)
        r = find_spot(to_at, to, &target, err);
    if (r < 0)
        return r;
    r = rename_exclusively(&source, &target);
    if (r == 0 || (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP))
        return told(r, to, err);
    /* A second name, then the first away: also exclusive, for all but directories. */
    r = linkat(source.fd, source.name, target.fd, target.name, 0);
    if (r == 0)
        r = unlinkat(source.fd, source.name, 0);
    return told(r, to, err);
}

/* -1 and errno ENOTSUP when the system or the file system cannot. */
static int rename_exchanging(const struct spot *one, const struct spot *other)
{
    int r = -1;

    errno = ENOSYS;
#if defined(__APPLE__)
    r = renameatx_np(one->fd, one->name, other->fd, other->name, RENAME_SWAP);
#elif defined(SYS_renameat2)
    r = (int)syscall(SYS_renameat2, one->fd, one->name, other->fd, other->name, 2u);
#endif
    if (r != 0 && (errno == EINVAL || errno == ENOSYS))
        errno = ENOTSUP;
    return r;
}

int directory_exchange(struct directory *at, const char *path, struct directory *other_at,
                       const char *other, struct error *err)
{
    cleanup(spot_release) struct spot one = SPOT_NONE, two = SPOT_NONE;
    int r = find_spot(at, path, &one, err);

    if (r == 0)
        r = find_spot(other_at, other, &two, err);
    return r < 0 ? r : told(rename_exchanging(&one, &two), path, err);
}

int directory_read_link(struct directory *at, const char *path, char **out_target,
                        struct error *err)
{
    cleanup(spot_release) struct spot spot = SPOT_NONE;
    char target[LINK_TARGET_MAX + 1];
    ssize_t size;
    char *copy;
    int r = find_spot(at, path, &spot, err);

    if (r < 0)
        return r;
    size = readlinkat(spot.fd, spot.name, target, sizeof(target));
    if (size < 0)
        return told(-1, path, err);
    if (size > LINK_TARGET_MAX)
        return error_set(err, -EFBIG, "%s: the link's target is above %d bytes", path,
                         LINK_TARGET_MAX);
    copy = memory_copy(target, (size_t)size);
    if (copy == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    *out_target = copy;
    return 0;
}

int directory_make_link(struct directory *at, const char *target, const char *path,
                        struct error *err)
{
    cleanup(spot_release) struct spot spot = SPOT_NONE;
    int r = find_spot(at, path, &spot, err);

    return r < 0 ? r : told(symlinkat(target, spot.fd, spot.name), path, err);
}

/* By an open descriptor, where fchmodat cannot do without following. */
static int set_mode_by_opening(const struct spot *spot, uint32_t mode)
{
    cleanup_fd int fd = open_component(spot->fd, spot->name, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);

    return fd < 0 ? -1 : fchmod(fd, (mode_t)mode);
}

int directory_set_mode(struct directory *at, const char *path, uint32_t mode, struct error *err)
{
    cleanup(spot_release) struct spot spot = SPOT_NONE;
    struct stat st;
    int r;

    if (path[0] == '\0')
        return told(fchmod(at->fd, (mode_t)mode), path, err);
    r = find_spot(at, path, &spot, err);
    if (r < 0)
        return r;
    r = fstatat(spot.fd, spot.name, &st, AT_SYMLINK_NOFOLLOW);
    if (r == 0 && S_ISLNK(st.st_mode)) {
        errno = ELOOP;
        r = -1;
    } else if (r == 0) {
        r = fchmodat(spot.fd, spot.name, (mode_t)mode, AT_SYMLINK_NOFOLLOW);
        if (r != 0 && (errno == ENOTSUP || errno == EINVAL || errno == ENOSYS))
            r = set_mode_by_opening(&spot, mode);
    }
    return told(r, path, err);
}

int directory_set_owner(struct directory *at, const char *path, uint32_t owner, uint32_t group,
                        struct error *err)
{
    cleanup(spot_release) struct spot spot = SPOT_NONE;
    int r;

    if (path[0] == '\0')
        return told(fchown(at->fd, (uid_t)owner, (gid_t)group), path, err);
    r = find_spot(at, path, &spot, err);
    return r < 0
               ? r
               : told(fchownat(spot.fd, spot.name, (uid_t)owner, (gid_t)group, AT_SYMLINK_NOFOLLOW),
                      path, err);
}

int directory_set_mtime(struct directory *at, const char *path, int64_t mtime_s, struct error *err)
{
    cleanup(spot_release) struct spot spot = SPOT_NONE;
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = (time_t)mtime_s } };
    int r;

    if (path[0] == '\0')
        return told(futimens(at->fd, times), path, err);
    r = find_spot(at, path, &spot, err);
    return r < 0 ? r : told(utimensat(spot.fd, spot.name, times, AT_SYMLINK_NOFOLLOW), path, err);
}

bool directory_may_write(struct directory *directory)
{
    return faccessat(directory->fd, ".", W_OK | X_OK, AT_EACCESS) == 0;
}

int directory_sync(struct directory *directory, struct error *err)
{
    return told(fsync(directory->fd), "", err);
}

static enum file_kind kind_of_entry(const struct dirent *entry)
{
    switch (entry->d_type) {
    case DT_REG:
        return FILE_REGULAR;
    case DT_DIR:
        return FILE_DIRECTORY;
    case DT_LNK:
        return FILE_LINK;
    default:
        return FILE_OTHER;
    }
}

int directory_list(struct directory *at, const char *path, directory_each *each, void *context,
                   struct error *err)
{
    cleanup(close_stream) DIR *stream = NULL;
    cleanup_fd int fd = -1;
    struct dirent *entry;
    int r = directory_path_check(path, err);

    if (r < 0)
        return r;
    fd = open_beneath(at, path, O_RDONLY | O_DIRECTORY, 0);
    if (fd >= 0)
        stream = open_stream(&fd);
    if (stream == NULL)
        return told(-1, path, err);
    for (errno = 0; (entry = readdir(stream)) != NULL; errno = 0) {
        if (is_dots(entry->d_name))
            continue;
        r = each(context, entry->d_name, kind_of_entry(entry), err);
        if (r != 0)
            return r;
    }
    return errno != 0 ? told(-1, path, err) : 0;
}
