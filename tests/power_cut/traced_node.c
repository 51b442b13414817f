/* SPDX-License-Identifier: MIT */
#include "tests/power_cut/traced_node.h"

#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/power_cut/journal.h"

struct traced_node *traced_find(struct traced *traced, uint64_t inode)
{
    for (size_t i = traced->node_count; i > 0; i--)
        if (traced->nodes[i - 1].inode == inode)
            return &traced->nodes[i - 1];
    return NULL;
}

uint32_t traced_new(struct traced *traced, uint64_t inode)
{
    uint32_t node = traced->journal->node_count++;

    traced->nodes = reallocarray(traced->nodes, traced->node_count + 1, sizeof(*traced->nodes));
    if (traced->nodes == NULL)
        err(1, "recorder");
    traced->nodes[traced->node_count++] = (struct traced_node){ inode, node, false };
    return node;
}

void traced_foreign(struct traced *traced, const char *what)
{
    struct change change = { .kind = CHANGE_UNKNOWN };

    (void)snprintf(change.name, sizeof(change.name), "%s", what);
    journal_add(traced->journal, &change);
}

bool traced_split(struct traced *traced, const char *path, uint32_t *out_parent,
                  char out_name[CHANGE_NAME_SIZE])
{
    const char *slash = strrchr(path, '/');
    char parent[TRACED_PATH_SIZE];
    struct traced_node *node;
    struct stat info;

    memcpy(parent, path, (size_t)(slash - path));
    parent[slash - path] = '\0';
    node = stat(parent, &info) == 0 ? traced_find(traced, info.st_ino) : NULL;
    if (node == NULL || strlen(slash + 1) >= CHANGE_NAME_SIZE) {
        traced_foreign(traced, path);
        return false;
    }
    *out_parent = node->node;
    (void)snprintf(out_name, CHANGE_NAME_SIZE, "%s", slash + 1);
    return true;
}

void traced_begin(struct traced *traced, const char *directory, struct journal *journal)
{
    struct stat info;
    char *real = realpath(directory, NULL);

    *traced = (struct traced){ .journal = journal };
    if (real == NULL || stat(real, &info) != 0)
        err(1, "%s", directory);
    (void)snprintf(traced->directory, sizeof(traced->directory), "%s", real);
    traced->directory_size = strlen(real);
    free(real);
    traced_new(traced, info.st_ino);
}

void traced_end(struct traced *traced)
{
    free(traced->nodes);
    traced->nodes = NULL;
}

/* What is there --------------------------------------------------------------------------- */

static void look_at_file(struct traced *traced, int fd, const struct change *make)
{
    struct change change = { .kind = CHANGE_WRITE, .node = make->node };
    struct stat info;

    if (fstat(fd, &info) != 0)
        err(1, "%s", make->name);
    change.size = (uint64_t)info.st_size;
    change.bytes = malloc((size_t)info.st_size + 1);
    if (change.bytes == NULL || pread(fd, change.bytes, (size_t)info.st_size, 0) != info.st_size)
        err(1, "%s", make->name);
    journal_add(traced->journal, &change);
}

static void look_below(struct traced *traced, int at, uint32_t parent)
{
    DIR *list = fdopendir(at);
    struct dirent *entry;

    if (list == NULL)
        err(1, "%s", traced->directory);
    while ((entry = readdir(list)) != NULL) {
        struct change change = { .kind = CHANGE_MAKE_FILE, .parent = parent };
        struct stat info;
        int fd;

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        fd = openat(dirfd(list), entry->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &info) != 0)
            err(1, "%s", entry->d_name);
        if (S_ISDIR(info.st_mode))
            change.kind = CHANGE_MAKE_DIRECTORY;
        (void)snprintf(change.name, sizeof(change.name), "%.*s", CHANGE_NAME_SIZE - 1,
                       entry->d_name);
        change.mode = info.st_mode & 07777;
        change.node = traced_new(traced, info.st_ino);
        journal_add(traced->journal, &change);
        if (S_ISDIR(info.st_mode)) {
            look_below(traced, fd, change.node);
        } else {
            look_at_file(traced, fd, &change);
            close(fd);
        }
    }
    closedir(list);
}

void traced_look(struct traced *traced)
{
    int fd = open(traced->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        err(1, "%s", traced->directory);
    look_below(traced, fd, 0);
    traced->journal->base = traced->journal->count;
}
