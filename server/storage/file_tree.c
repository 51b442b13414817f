/* SPDX-License-Identifier: MIT */
#include "server/storage/file_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"

int file_tree_error(struct error *err, int saved_errno, const char *what)
{
    int code;

    switch (saved_errno) {
    case ENOENT:
    case EEXIST:
    case ENOSPC:
    case EROFS:
    case ENOMEM:
        code = -saved_errno;
        break;
    case EDQUOT:
        code = -ENOSPC;
        break;
    case EMFILE:
    case ENFILE:
        code = -EAGAIN;
        break;
    default:
        code = -EIO;
        break;
    }
    error_system(err, saved_errno, "%s", what);
    if (err != NULL)
        err->code = code;
    return code;
}

void file_tree_folder(const char *key, char out[FILE_TREE_FOLDER_SIZE])
{
    out[0] = key[0];
    out[1] = key[1];
    out[2] = '\0';
}

/* Beneath `at`, through no link. */
static int open_beneath(int at, const char *path, int flags)
{
    struct open_how how = { .flags = (uint64_t)flags | O_CLOEXEC,
                            .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };

    return (int)syscall(SYS_openat2, at, path, &how, sizeof(how));
}

static int folder_make(int at, const char *name, struct error *err)
{
    if (mkdirat(at, name, 0700) == 0)
        return 1;
    return errno == EEXIST ? 0 : file_tree_error(err, errno, name);
}

static int part_open(struct file_tree *tree, const char *name, bool make, int *out_fd,
                     struct error *err)
{
    int r = make ? folder_make(tree->root_fd, name, err) : 0;

    if (r < 0)
        return r;
    *out_fd = open_beneath(tree->root_fd, name, O_RDONLY | O_DIRECTORY);
    if (*out_fd < 0)
        return file_tree_error(err, errno, name);
    return 0;
}

int file_tree_open(const char *path, bool make, struct file_tree *out, struct error *err)
{
    struct file_tree tree = { .root_fd = -1, .blobs_fd = -1, .tmp_fd = -1 };
    int r;

    if (make && mkdir(path, 0700) != 0 && errno != EEXIST)
        return file_tree_error(err, errno, path);
    tree.root_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (tree.root_fd < 0)
        return file_tree_error(err, errno, path);
    r = part_open(&tree, "blobs", make, &tree.blobs_fd, err);
    if (r >= 0)
        r = part_open(&tree, "tmp", make, &tree.tmp_fd, err);
    if (r < 0) {
        file_tree_close(&tree);
        return r;
    }
    *out = tree;
    return 0;
}

void file_tree_close(struct file_tree *tree)
{
    cleanup_fd_at(&tree->tmp_fd);
    cleanup_fd_at(&tree->blobs_fd);
    cleanup_fd_at(&tree->root_fd);
    *tree = (struct file_tree){ .root_fd = -1, .blobs_fd = -1, .tmp_fd = -1 };
}

int file_tree_sentinel(const struct file_tree *tree, char out_id[BLOB_STORE_ID_SIZE],
                       struct error *err)
{
    cleanup_fd int fd = open_beneath(tree->root_fd, FILE_TREE_SENTINEL, O_RDONLY);
    char text[BLOB_STORE_ID_SIZE + 1];
    ssize_t size;

    if (fd < 0)
        return file_tree_error(err, errno, FILE_TREE_SENTINEL);
    size = read(fd, text, sizeof(text));
    if (size < 0)
        return file_tree_error(err, errno, FILE_TREE_SENTINEL);
    if (size != BLOB_STORE_ID_SIZE || text[BLOB_STORE_ID_SIZE - 1] != '\n')
        return error_set(err, -EBADMSG, FILE_TREE_SENTINEL " is not a store's id and a newline");
    memcpy(out_id, text, BLOB_STORE_ID_SIZE - 1);
    out_id[BLOB_STORE_ID_SIZE - 1] = '\0';
    return 0;
}

/* Whole or not at all: written beside, then renamed. */
int file_tree_sentinel_make(const struct file_tree *tree, const char *id, struct error *err)
{
    static const char draft[] = FILE_TREE_SENTINEL ".new";
    cleanup_fd int fd =
        openat(tree->root_fd, draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0444);
    char text[BLOB_STORE_ID_SIZE];

    if (fd < 0)
        return file_tree_error(err, errno, draft);
    memcpy(text, id, BLOB_STORE_ID_SIZE - 1);
    text[BLOB_STORE_ID_SIZE - 1] = '\n';
    if (write(fd, text, sizeof(text)) != (ssize_t)sizeof(text) || fsync(fd) != 0 ||
        renameat2(tree->root_fd, draft, tree->root_fd, FILE_TREE_SENTINEL, RENAME_NOREPLACE) != 0 ||
        fsync(tree->root_fd) != 0)
        return file_tree_error(err, errno, FILE_TREE_SENTINEL);
    return 0;
}

static DIR *folder_stream(int at, const char *path)
{
    int fd = open_beneath(at, path, O_RDONLY | O_DIRECTORY);
    DIR *stream;

    if (fd < 0)
        return NULL;
    stream = fdopendir(fd);
    if (stream == NULL)
        close(fd);
    return stream;
}

static void stream_close(DIR **at)
{
    if (*at != NULL)
        closedir(*at);
}

/* The next name that is not hidden; NULL at the end, errno then tells whether it is one. */
static const char *next_name(DIR *stream)
{
    struct dirent *entry;

    errno = 0;
    while ((entry = readdir(stream)) != NULL) {
        if (entry->d_name[0] != '.')
            return entry->d_name;
    }
    return NULL;
}

bool file_tree_is_empty(const struct file_tree *tree)
{
    cleanup(stream_close) DIR *blobs = folder_stream(tree->root_fd, "blobs");
    cleanup(stream_close) DIR *tmp = folder_stream(tree->root_fd, "tmp");

    return blobs != NULL && next_name(blobs) == NULL && errno == 0 && tmp != NULL &&
           next_name(tmp) == NULL && errno == 0;
}

int file_tree_folder_open(const struct file_tree *tree, const char *key, bool make, int *out_fd,
                          bool *out_made, struct error *err)
{
    char path[FILE_TREE_FOLDER_SIZE];
    bool made = false;
    int fd;
    int r;

    file_tree_folder(key, path);
    fd = open_beneath(tree->blobs_fd, path, O_RDONLY | O_DIRECTORY);
    if (fd < 0 && errno == ENOENT && make) {
        r = folder_make(tree->blobs_fd, path, err);
        if (r < 0)
            return r;
        made = r > 0;
        fd = open_beneath(tree->blobs_fd, path, O_RDONLY | O_DIRECTORY);
    }
    if (fd < 0)
        return file_tree_error(err, errno, path);
    *out_fd = fd;
    if (out_made != NULL)
        *out_made = made;
    return 0;
}

int file_tree_aside_open(const struct file_tree *tree, int *out_fd, struct error *err)
{
    int r = folder_make(tree->root_fd, "aside", err);
    int fd;

    if (r < 0)
        return r;
    if (r > 0 && fsync(tree->root_fd) != 0)
        return file_tree_error(err, errno, "aside");
    fd = open_beneath(tree->root_fd, "aside", O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return file_tree_error(err, errno, "aside");
    *out_fd = fd;
    return 0;
}

int file_tree_object_open(const struct file_tree *tree, const char *key, int flags)
{
    char path[FILE_TREE_FOLDER_SIZE + BLOB_KEY_MAX + 1];

    file_tree_folder(key, path);
    path[FILE_TREE_FOLDER_SIZE - 1] = '/';
    memcpy(path + FILE_TREE_FOLDER_SIZE, key, strlen(key) + 1);
    return open_beneath(tree->blobs_fd, path, flags);
}

struct walk {
    blob_store_each *each;
    void *context;
};

static int object_tell(const struct walk *walk, DIR *folder, const char *name, struct error *err)
{
    struct stat info;

    if (!blob_key_is_valid(name))
        return 0;
    if (fstatat(dirfd(folder), name, &info, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : file_tree_error(err, errno, name);
    if (!S_ISREG(info.st_mode))
        return 0;
    return walk->each(walk->context, name, (uint64_t)info.st_size, (int64_t)info.st_mtime, err);
}

/* depth 0: blobs/, 1: blobs/ab. Any error ends it: what cannot be read is not
 * absent. */
static int folder_walk(const struct walk *walk, int at, const char *path, int depth,
                       struct error *err)
{
    cleanup(stream_close) DIR *folder = folder_stream(at, path);
    const char *name;
    int r;

    if (folder == NULL)
        return file_tree_error(err, errno, path);
    while ((name = next_name(folder)) != NULL) {
        if (depth == 1)
            r = object_tell(walk, folder, name, err);
        else
            r = strlen(name) == 2 ? folder_walk(walk, dirfd(folder), name, depth + 1, err) : 0;
        if (r != 0)
            return r;
    }
    return errno == 0 ? 0 : file_tree_error(err, errno, path);
}

int file_tree_walk(const struct file_tree *tree, blob_store_each *each, void *context,
                   struct error *err)
{
    struct walk walk = { .each = each, .context = context };

    return folder_walk(&walk, tree->root_fd, "blobs", 0, err);
}
