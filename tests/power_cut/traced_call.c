/* SPDX-License-Identifier: MIT */
#include "tests/power_cut/traced_call.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/ptrace.h>

#include "tests/power_cut/journal.h"
#include "tests/power_cut/traced_node.h"
#include "tests/power_cut/traced_task.h"

#define VECTORS_MAX 64
#define NONE (-1)
#define NAMELESS (O_TMPFILE & ~O_DIRECTORY)

/* How a call is understood. */
enum sense {
    SENSE_OPEN,
    SENSE_WRITE,
    SENSE_TRUNCATE,
    SENSE_MODE,
    SENSE_MAKE_DIRECTORY,
    SENSE_RENAME,
    SENSE_REMOVE,
    SENSE_SYNC,
    SENSE_MAP,
    SENSE_FOREIGN, /* changes files in a way that is not written down here */
};

/* One line a call: where it has a descriptor, or a directory's and a path, of what it changes. */
struct traced_rule {
    long number;
    const char *name;
    enum sense sense;
    int fd, path; /* places of its arguments; NONE: it has none (a path: from where it stands) */
};

static const struct traced_rule rules[] = {
#ifdef SYS_open
    { SYS_open, "open", SENSE_OPEN, NONE, 0 },
    { SYS_creat, "creat", SENSE_FOREIGN, NONE, 0 },
    { SYS_mkdir, "mkdir", SENSE_MAKE_DIRECTORY, NONE, 0 },
    { SYS_rename, "rename", SENSE_RENAME, NONE, 0 },
    { SYS_unlink, "unlink", SENSE_REMOVE, NONE, 0 },
    { SYS_rmdir, "rmdir", SENSE_REMOVE, NONE, 0 },
    { SYS_chmod, "chmod", SENSE_MODE, NONE, 0 },
    { SYS_link, "link", SENSE_FOREIGN, NONE, 1 },
    { SYS_symlink, "symlink", SENSE_FOREIGN, NONE, 1 },
    { SYS_mknod, "mknod", SENSE_FOREIGN, NONE, 0 },
#endif
#ifdef SYS_renameat
    { SYS_renameat, "renameat", SENSE_RENAME, 0, 1 },
#endif
    { SYS_openat, "openat", SENSE_OPEN, 0, 1 },
    { SYS_openat2, "openat2", SENSE_OPEN, 0, 1 },
    { SYS_write, "write", SENSE_WRITE, 0, NONE },
    { SYS_pwrite64, "pwrite64", SENSE_WRITE, 0, NONE },
    { SYS_writev, "writev", SENSE_WRITE, 0, NONE },
    { SYS_pwritev, "pwritev", SENSE_FOREIGN, 0, NONE },
    { SYS_pwritev2, "pwritev2", SENSE_FOREIGN, 0, NONE },
    { SYS_ftruncate, "ftruncate", SENSE_TRUNCATE, 0, NONE },
    { SYS_truncate, "truncate", SENSE_FOREIGN, NONE, 0 },
    { SYS_fallocate, "fallocate", SENSE_FOREIGN, 0, NONE },
    { SYS_fchmod, "fchmod", SENSE_MODE, 0, NONE },
    { SYS_fchmodat, "fchmodat", SENSE_MODE, 0, 1 },
#ifdef SYS_fchmodat2
    { SYS_fchmodat2, "fchmodat2", SENSE_MODE, 0, 1 },
#endif
    { SYS_mkdirat, "mkdirat", SENSE_MAKE_DIRECTORY, 0, 1 },
    { SYS_renameat2, "renameat2", SENSE_RENAME, 0, 1 },
    { SYS_unlinkat, "unlinkat", SENSE_REMOVE, 0, 1 },
    { SYS_linkat, "linkat", SENSE_FOREIGN, 2, 3 },
    { SYS_symlinkat, "symlinkat", SENSE_FOREIGN, 1, 2 },
    { SYS_mknodat, "mknodat", SENSE_FOREIGN, 0, 1 },
    { SYS_fsync, "fsync", SENSE_SYNC, 0, NONE },
    { SYS_fdatasync, "fdatasync", SENSE_SYNC, 0, NONE },
    { SYS_mmap, "mmap", SENSE_MAP, 4, NONE },
    { SYS_copy_file_range, "copy_file_range", SENSE_FOREIGN, 2, NONE },
    { SYS_sendfile, "sendfile", SENSE_FOREIGN, 0, NONE },
    { SYS_splice, "splice", SENSE_FOREIGN, 2, NONE },
    { SYS_ioctl, "ioctl", SENSE_FOREIGN, 0, NONE }, /* FICLONE and the like */
    { SYS_setxattr, "setxattr", SENSE_FOREIGN, NONE, 0 },
    { SYS_lsetxattr, "lsetxattr", SENSE_FOREIGN, NONE, 0 },
    { SYS_fsetxattr, "fsetxattr", SENSE_FOREIGN, 0, NONE },
    { SYS_io_uring_setup, "io_uring_setup", SENSE_FOREIGN, NONE, NONE },
    { SYS_io_setup, "io_setup", SENSE_FOREIGN, NONE, NONE },
    { SYS_open_by_handle_at, "open_by_handle_at", SENSE_FOREIGN, NONE, NONE },
};

/* Paths --------------------------------------------------------------------------- */

static bool is_below(const struct traced *traced, const char *path)
{
    return strncmp(path, traced->directory, traced->directory_size) == 0 &&
           (path[traced->directory_size] == '/' || path[traced->directory_size] == '\0');
}

/* The path that a call has: of a directory's descriptor and a name, or of a descriptor. */
static void path_at(pid_t task, const uint64_t *values, int fd, int path,
                    char out[TRACED_PATH_SIZE])
{
    char name[TRACED_PATH_SIZE] = "", at[TRACED_PATH_SIZE];
    int descriptor = fd == NONE ? AT_FDCWD : (int)values[fd];
    size_t size;

    if (path != NONE)
        task_text(task, values[path], name, sizeof(name));
    if (sscanf(name, "/proc/self/fd/%d", &descriptor) == 1) { /* the C library, for a mode */
        task_link(task, "fd", descriptor, out);
        return;
    }
    if (name[0] == '/') {
        memcpy(out, name, TRACED_PATH_SIZE);
        return;
    }
    if (descriptor == AT_FDCWD)
        task_link(task, "cwd", NONE, at);
    else
        task_link(task, "fd", descriptor, at);
    size = strlen(at);
    if (size + strlen(name) + 2 > TRACED_PATH_SIZE)
        errx(1, "recorder: a path that is too long");
    memcpy(out, at, size + 1);
    if (name[0] != '\0' && strcmp(name, ".") != 0) {
        out[size] = '/';
        memcpy(out + size + 1, name, strlen(name) + 1);
    }
}

static bool inode_at(const char *path, uint64_t *out)
{
    struct stat info;

    if (lstat(path, &info) != 0)
        return false;
    *out = info.st_ino;
    return true;
}

/* Calls that end ------------------------------------------------------------------------ */

static int open_flags(pid_t task, const struct traced_call *call)
{
    struct open_how how = { .flags = 0 };

    if (call->number != SYS_openat2)
        return (int)call->values[call->rule->path + 1];
    task_read(task, call->values[2], &how, sizeof(how.flags));
    return (int)how.flags;
}

/* A file that was there, or was made by this call. */
static void opened(struct traced *traced, pid_t task, const struct traced_call *call, int fd)
{
    int flags = open_flags(task, call);
    struct change change = { .kind = CHANGE_MAKE_FILE };
    struct traced_node *node;
    struct stat info;
    uint64_t inode;
    char path[64];

    if ((flags & (O_CREAT | O_TRUNC | NAMELESS)) == 0 || !task_fd_inode(task, fd, &inode))
        return;
    (void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)task, fd);
    if (stat(path, &info) != 0)
        return;
    change.mode = info.st_mode & 07777;
    node = traced_find(traced, inode);
    if ((flags & NAMELESS) != 0) {
        change.kind = CHANGE_MAKE_NAMELESS;
    } else if (node != NULL && !node->is_gone) {
        if ((flags & O_TRUNC) != 0)
            journal_add(traced->journal,
                        &(struct change){ .kind = CHANGE_TRUNCATE, .node = node->node });
        return;
    } else if (!traced_split(traced, call->to, &change.parent, change.name)) {
        return;
    }
    change.node = traced_new(traced, inode);
    journal_add(traced->journal, &change);
}

/* Of bytes in one place, or in several. */
static void written(struct traced *traced, pid_t task, const struct traced_call *call,
                    struct traced_node *node, size_t size)
{
    struct iovec there[VECTORS_MAX] = { { (void *)(uintptr_t)call->values[1], size } };
    size_t count = 1, at = 0;
    struct change change = { .kind = CHANGE_WRITE, .node = node->node, .size = size };

    change.bytes = malloc(size + 1);
    if (change.bytes == NULL)
        err(1, "recorder");
    if (call->number == SYS_writev) {
        count = call->values[2] < VECTORS_MAX ? (size_t)call->values[2] : VECTORS_MAX;
        task_read(task, call->values[1], there, count * sizeof(*there));
    }
    for (size_t i = 0; i < count && at < size; i++) {
        size_t step = there[i].iov_len < size - at ? there[i].iov_len : size - at;

        at += task_read(task, (uintptr_t)there[i].iov_base, change.bytes + at, step);
    }
    if (at != size)
        errx(1, "recorder: %zu bytes of %zu were seen", at, size);
    change.offset = call->number == SYS_pwrite64
                        ? call->values[3]
                        : task_fd_position(task, (int)call->values[0]) - size;
    journal_add(traced->journal, &change);
}

static void renamed(struct traced *traced, const struct traced_call *call)
{
    struct change change = { .kind = CHANGE_RENAME };
    struct traced_node *node = traced_find(traced, call->from_inode);

    if (!is_below(traced, call->from) || !is_below(traced, call->to) || node == NULL ||
        (call->number == SYS_renameat2 && (call->values[4] & ~1ull) != 0)) {
        traced_foreign(traced, "a rename over the border, or an exchange");
        return;
    }
    change.node = node->node;
    if (!traced_split(traced, call->to, &change.parent, change.name) ||
        !traced_split(traced, call->from, &change.from_parent, change.from))
        return;
    journal_add(traced->journal, &change);
    node = call->had_to ? traced_find(traced, call->to_inode) : NULL;
    if (node != NULL)
        node->is_gone = true;
}

static void removed(struct traced *traced, const struct traced_call *call)
{
    struct change change = { .kind = CHANGE_REMOVE };
    struct traced_node *node = traced_find(traced, call->to_inode);

    if (node == NULL || !traced_split(traced, call->to, &change.parent, change.name)) {
        traced_foreign(traced, call->to);
        return;
    }
    change.node = node->node;
    node->is_gone = true;
    journal_add(traced->journal, &change);
}

static void made_directory(struct traced *traced, const struct traced_call *call)
{
    struct change change = { .kind = CHANGE_MAKE_DIRECTORY };
    struct stat info;

    if (lstat(call->to, &info) != 0 || !traced_split(traced, call->to, &change.parent, change.name))
        return;
    change.mode = info.st_mode & 07777;
    change.node = traced_new(traced, info.st_ino);
    journal_add(traced->journal, &change);
}

/* Truncation, mode, sync: of a node that is known. */
static void node_changed(struct traced *traced, pid_t task, const struct traced_call *call,
                         struct traced_node *node, size_t result)
{
    struct change change = { .node = node->node, .covers = call->covers };

    if (call->rule->sense == SENSE_WRITE) {
        if (result > 0)
            written(traced, task, call, node, result);
        return;
    }
    if (call->rule->sense == SENSE_TRUNCATE) {
        change.kind = CHANGE_TRUNCATE;
        change.size = call->values[1];
    } else if (call->rule->sense == SENSE_MODE) {
        change.kind = CHANGE_MODE;
        change.mode = (uint32_t)call->values[call->rule->path == NONE ? 1 : call->rule->path + 1];
    } else {
        change.kind = call->number == SYS_fsync ? CHANGE_SYNC : CHANGE_SYNC_DATA;
    }
    journal_add(traced->journal, &change);
}

/* Looking at calls ---------------------------------------------------------------------- */

static bool is_shared_map(const struct traced_call *call)
{
    return (call->values[2] & PROT_WRITE) != 0 && (call->values[3] & MAP_SHARED) != 0 &&
           (call->values[3] & MAP_ANONYMOUS) == 0;
}

static void look_at_paths(const struct traced *traced, pid_t task, struct traced_call *call)
{
    const struct traced_rule *rule = call->rule;
    int to_fd = rule->fd, to_path = rule->path;

    if (rule->sense == SENSE_RENAME) {
        path_at(task, call->values, rule->fd, rule->path, call->from);
        call->had_from = inode_at(call->from, &call->from_inode);
        to_fd = rule->fd == NONE ? NONE : rule->fd + 2;
        to_path = rule->fd == NONE ? rule->path + 1 : rule->path + 2;
    }
    path_at(task, call->values, to_fd, to_path, call->to);
    call->had_to = inode_at(call->to, &call->to_inode);
    if (!is_below(traced, call->to) && !is_below(traced, call->from))
        call->rule = NULL;
}

bool traced_call_begins(struct traced *traced, pid_t task, struct traced_call *call)
{
    struct ptrace_syscall_info info;

    if (ptrace(PTRACE_GET_SYSCALL_INFO, task, sizeof(info), &info) <= 0 ||
        info.op != PTRACE_SYSCALL_INFO_ENTRY)
        return false;
    *call = (struct traced_call){ .number = (long)info.entry.nr, .covers = traced->journal->count };
    for (int i = 0; i < 6; i++)
        call->values[i] = info.entry.args[i];
    for (size_t i = 0; call->rule == NULL && i < sizeof(rules) / sizeof(rules[0]); i++)
        if (rules[i].number == call->number)
            call->rule = &rules[i];
    if (call->rule == NULL || (call->rule->fd == NONE && call->rule->path == NONE) ||
        (call->rule->sense == SENSE_WRITE && (int)call->values[0] == TRACED_MARK_FD))
        return true;
    if (call->rule->sense == SENSE_MAP && !is_shared_map(call))
        call->rule = NULL;
    else
        look_at_paths(traced, task, call);
    return true;
}

static void marked(struct traced *traced, pid_t task, const struct traced_call *call)
{
    struct change change = { .kind = CHANGE_MARK };
    size_t size =
        call->values[2] < CHANGE_NAME_SIZE ? (size_t)call->values[2] : CHANGE_NAME_SIZE - 1;

    task_read(task, call->values[1], change.name, size);
    journal_add(traced->journal, &change);
}

void traced_call_ended(struct traced *traced, pid_t task, const struct traced_call *call)
{
    const struct traced_rule *rule = call->rule;
    struct ptrace_syscall_info info;
    struct traced_node *node;
    uint64_t inode;

    if (rule == NULL || ptrace(PTRACE_GET_SYSCALL_INFO, task, sizeof(info), &info) <= 0 ||
        info.op != PTRACE_SYSCALL_INFO_EXIT)
        return;
    if (rule->sense == SENSE_WRITE && (int)call->values[0] == TRACED_MARK_FD)
        marked(traced, task, call);
    if (info.exit.is_error != 0)
        return;
    switch (rule->sense) {
    case SENSE_OPEN:
        opened(traced, task, call, (int)info.exit.rval);
        return;
    case SENSE_MAKE_DIRECTORY:
        made_directory(traced, call);
        return;
    case SENSE_RENAME:
        renamed(traced, call);
        return;
    case SENSE_REMOVE:
        removed(traced, call);
        return;
    case SENSE_MAP:
    case SENSE_FOREIGN:
        traced_foreign(traced, rule->name);
        return;
    case SENSE_WRITE:
    case SENSE_TRUNCATE:
    case SENSE_MODE:
    case SENSE_SYNC:
    default:
        break;
    }
    if (rule->path == NONE ? !task_fd_inode(task, (int)call->values[0], &inode)
                           : !inode_at(call->to, &inode))
        return;
    node = traced_find(traced, inode);
    if (node != NULL)
        node_changed(traced, task, call, node, (size_t)info.exit.rval);
    else
        traced_foreign(traced, call->to);
}
