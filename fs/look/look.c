/* SPDX-License-Identifier: MIT */
#include "fs/look/look.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/span.h"

#define MAPS_AT_A_TIME ((size_t)64 * 1024)
#define FIELD_DEVICE 3 /* of a line of maps; the inode is the next */

struct looking {
    const struct look *look;
    uint64_t last_device, last_inode; /* mappings of a file stand together */
    int result;
};

/* False: the look is over. */
static bool tell(struct looking *looking, uint64_t device, uint64_t inode)
{
    const struct look *look = looking->look;

    if (device == looking->last_device && inode == looking->last_inode)
        return true;
    looking->last_device = device;
    looking->last_inode = inode;
    for (size_t i = 0; i < look->device_count; i++)
        if (look->devices[i] == device)
            looking->result = look->found(look->context, device, inode);
    return looking->result == 0;
}

/* Through the link, whatever its text says: it leads to the file itself. */
static bool look_at_link(struct looking *looking, int directory, const char *name)
{
    struct statx info;

    if (statx(directory, name, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_INO, &info) < 0)
        return true;
    return tell(looking, makedev(info.stx_dev_major, info.stx_dev_minor), info.stx_ino);
}

/* Digits of a base up to `end`, which is taken too; false: there is something else. */
static bool take_number(struct span *rest, unsigned base, uint8_t end, uint64_t *out)
{
    uint64_t number = 0;
    size_t at = 0;

    for (; at < rest->size && rest->bytes[at] != end; at++) {
        const uint8_t byte = rest->bytes[at];
        const unsigned digit = byte >= '0' && byte <= '9'   ? byte - (unsigned)'0'
                               : byte >= 'a' && byte <= 'f' ? byte - 'a' + 10u
                                                            : base;
        if (digit >= base || number > (UINT64_MAX - digit) / base)
            return false;
        number = number * base + digit;
    }
    if (at == 0 || at == rest->size)
        return false;
    *rest = span_of(rest->bytes + at + 1, rest->size - at - 1);
    *out = number;
    return true;
}

/* "start-end rights offset major:minor inode path": what stands before the path is the kernel's. */
static bool look_at_line(struct looking *looking, struct span line)
{
    uint64_t major_number, minor_number, inode;
    struct span field;

    for (int i = 0; i < FIELD_DEVICE; i++)
        if (!span_cut(&line, ' ', &field))
            return true;
    if (!take_number(&line, 16, ':', &major_number) ||
        !take_number(&line, 16, ' ', &minor_number) || !take_number(&line, 10, ' ', &inode) ||
        inode == 0)
        return true;
    return tell(looking, makedev((unsigned)major_number, (unsigned)minor_number), inode);
}

/* The whole lines of what was read; *size is what is left of the last. A line that fills all of
 * `bytes` is looked at as far as it came, and its rest (*in_rest) is passed over. */
static bool look_at_lines(struct looking *looking, char *bytes, size_t *size, bool *in_rest)
{
    size_t begin = 0;
    bool goes_on = true;

    while (goes_on) {
        const char *end = memchr(bytes + begin, '\n', *size - begin);
        size_t line = end != NULL ? (size_t)(end - bytes) - begin : *size - begin;

        if (end == NULL && (begin > 0 || *size < MAPS_AT_A_TIME))
            break;
        if (!*in_rest)
            goes_on = look_at_line(looking, span_of(bytes + begin, line));
        *in_rest = end == NULL;
        begin += line + (end != NULL);
    }
    memmove(bytes, bytes + begin, *size - begin);
    *size -= begin;
    return goes_on;
}

static bool look_at_maps(struct looking *looking, int task)
{
    cleanup_fd int fd = openat(task, "maps", O_RDONLY | O_CLOEXEC);
    char bytes[MAPS_AT_A_TIME];
    bool goes_on = true, in_rest = false;
    size_t size = 0;
    ssize_t got;

    if (fd < 0)
        return true;
    while (goes_on) {
        do
            got = read(fd, bytes + size, sizeof(bytes) - size);
        while (got < 0 && errno == EINTR);
        if (got <= 0)
            break;
        size += (size_t)got;
        goes_on = look_at_lines(looking, bytes, &size, &in_rest);
    }
    return goes_on;
}

static bool is_number(const char *name)
{
    return name[0] != '\0' && name[strspn(name, "0123456789")] == '\0';
}

/* Calls each(looking, directory, name) for the numbers among the names of a directory. */
typedef bool each_number(struct looking *looking, int directory, const char *name);

static int walk(struct looking *looking, int above, const char *name, each_number *each)
{
    int fd = openat(above, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const struct dirent *entry;
    DIR *directory;

    if (fd < 0)
        return -errno;
    directory = fdopendir(fd);
    if (directory == NULL) {
        close(fd);
        return -ENOMEM;
    }
    while ((entry = readdir(directory)) != NULL)
        if (is_number(entry->d_name) && !each(looking, fd, entry->d_name))
            break;
    closedir(directory);
    return 0;
}

static bool look_at_task(struct looking *looking, int directory, const char *name)
{
    cleanup_fd int task = openat(directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (task < 0)
        return true;
    if (look_at_link(looking, task, "cwd") && look_at_link(looking, task, "root") &&
        look_at_link(looking, task, "exe") && look_at_maps(looking, task))
        walk(looking, task, "fd", look_at_link);
    return looking->result == 0;
}

/* Of the kernel's own, and of one whose first thread has ended: there is nothing to be seen. */
static bool has_no_program(int process)
{
    char byte;

    return readlinkat(process, "exe", &byte, sizeof(byte)) < 0 && errno == ENOENT;
}

static bool look_at_process(struct looking *looking, int directory, const char *name)
{
    cleanup_fd int process = openat(directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (process < 0)
        return true;
    if (has_no_program(process))
        walk(looking, process, "task", look_at_task);
    else
        look_at_task(looking, directory, name);
    return looking->result == 0;
}

int look_at(const struct look *look, struct error *err)
{
    struct looking looking = { .look = look };
    int r = walk(&looking, AT_FDCWD, look->proc, look_at_process);

    if (r < 0)
        return error_system(err, -r, "%s", look->proc);
    return looking.result;
}
