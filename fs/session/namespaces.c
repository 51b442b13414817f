/* SPDX-License-Identifier: MIT */
#include "fs/session/namespaces.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/map.h"
#include "common/base/number.h"
#include "fs/session/mount_table.h"

#define TABLE_MAX ((size_t)64 * 1024 * 1024)
#define NAME_MAX_SIZE_TEXT 64
#define FOLDER_SIZE 32
#define PATH_SIZE 64

/* Whether `path` is `directory` or lies below it; *out_rest: what stands behind, with its slash. */
static bool lies_in(struct span path, struct span directory, struct span *out_rest)
{
    if (span_equal_text(directory, "/"))
        directory.size = 0;
    if (!span_starts_with(path, directory) ||
        (path.size > directory.size && path.bytes[directory.size] != '/'))
        return false;
    *out_rest = span_slice(path, directory.size, path.size - directory.size);
    return true;
}

/* The peer group of a line: N of "shared:N" or "master:N"; 0: none. */
static uint64_t group_of(const struct mount_line *line, const char *kind)
{
    struct span rest = line->fields, word;
    uint64_t group = 0;

    while (span_cut(&rest, ' ', &word)) {
        size_t size = strlen(kind);
        if (span_starts_with(word, span_text(kind)))
            number_parse(span_slice(word, size, word.size - size), UINT32_MAX, &group, NULL);
    }
    return group;
}

/* What happens on our side of the group happens there. */
static bool follows(const struct mount_line *line, uint64_t group)
{
    return group != 0 && (group_of(line, "shared:") == group || group_of(line, "master:") == group);
}

struct place {
    struct mount_line on; /* the mount that the target lies on */
    uint64_t group;
    struct buf inside; /* the target's path in that file system */
};

/* The longest mount point that the target lies in, but for mounts of ours on it. */
static bool find_place(struct span table, const char *target, struct place *out)
{
    cleanup(buf_release) struct buf path = buf_init(BUF_UNLIMITED);
    struct span text, rest, longest = { NULL, 0 };
    struct mount_line line;
    size_t size = 0;
    bool found = false;

    while (span_cut(&table, '\n', &text)) {
        if (!mount_line_parse(text, &line))
            continue;
        buf_clear(&path);
        mount_line_unescape(line.mountpoint, &path);
        if (buf_check(&path, NULL) < 0 || !lies_in(span_text(target), buf_span(&path), &rest) ||
            (rest.size == 0 && span_equal_text(line.type, "fuse.kkartifact")) || path.size < size)
            continue;
        size = path.size;
        longest = rest;
        out->on = line;
        found = true;
    }
    if (!found)
        return false;
    out->group = group_of(&out->on, "shared:");
    buf_clear(&out->inside);
    if (!span_equal_text(out->on.root, "/"))
        mount_line_unescape(out->on.root, &out->inside);
    buf_add_span(&out->inside, longest);
    return buf_check(&out->inside, NULL) == 0;
}

/* The line of the mount with that number. */
static bool find_mount(struct span table, uint64_t id, struct mount_line *out)
{
    struct span text;

    while (span_cut(&table, '\n', &text))
        if (mount_line_parse(text, out) && out->id == id)
            return true;
    return false;
}

static bool reaches(const struct mount_line *line, const struct place *place, struct buf *root)
{
    struct span rest;

    buf_clear(root);
    mount_line_unescape(line->root, root);
    return line->device == place->on.device && buf_check(root, NULL) == 0 &&
           lies_in(buf_span(&place->inside), buf_span(root), &rest);
}

bool namespaces_is_private(struct span ours, struct span theirs, const char *target,
                           uint64_t device)
{
    cleanup(buf_release) struct buf root = buf_init(BUF_UNLIMITED);
    struct place place = { .inside = buf_init(BUF_UNLIMITED) };
    struct mount_line line, on;
    struct span rest = theirs, text;
    bool is_private = false;

    if (!find_place(ours, target, &place)) {
        buf_release(&place.inside);
        return false;
    }
    while (!is_private && span_cut(&rest, '\n', &text)) {
        if (!mount_line_parse(text, &line))
            continue;
        if (device != 0 && line.device == device)
            is_private = !find_mount(theirs, line.parent, &on) || !follows(&on, place.group);
        else
            is_private = reaches(&line, &place, &root) && !follows(&line, place.group);
    }
    buf_release(&place.inside);
    return is_private;
}

struct search {
    const char *target;
    uint64_t device;
    struct buf ours;                   /* table */
    char own_name[NAME_MAX_SIZE_TEXT]; /* of our namespace: "mnt:[4026531841]" */
    struct map judged;                 /* name of a namespace -> verdict */
};

static const char is_seen_there = 's', is_private_there = 'p'; /* verdicts, by address */

/* Of a process's folder in /proc; "self" is one. */
static bool name_of(const char *folder, char out[NAME_MAX_SIZE_TEXT])
{
    char path[PATH_SIZE];
    ssize_t size;

    snprintf(path, sizeof(path), "%s/ns/mnt", folder);
    size = readlink(path, out, NAME_MAX_SIZE_TEXT - 1);
    if (size <= 0)
        return false;
    out[size] = '\0';
    return true;
}

/* Once for each namespace. */
static bool is_private(struct search *search, const char *folder, const char *name)
{
    cleanup(buf_release) struct buf theirs = buf_init(TABLE_MAX);
    const void *verdict = map_get(&search->judged, span_text(name));
    char path[PATH_SIZE];

    if (verdict == NULL) {
        snprintf(path, sizeof(path), "%s/mountinfo", folder);
        if (file_load(path, &theirs, NULL) < 0)
            return false;
        verdict = namespaces_is_private(buf_span(&search->ours), buf_span(&theirs), search->target,
                                        search->device)
                      ? &is_private_there
                      : &is_seen_there;
        map_set(&search->judged, span_text(name), (void *)(uintptr_t)verdict, NULL);
    }
    return verdict == &is_private_there;
}

/* As the process calls itself; empty when it has ended. */
static void command_of(const char *folder, struct buf *out)
{
    cleanup(buf_release) struct buf text = buf_init(4096);
    char path[PATH_SIZE];

    snprintf(path, sizeof(path), "%s/comm", folder);
    if (file_load(path, &text, NULL) == 0)
        buf_add_span(out, span_trim(buf_span(&text)));
}

static int look_at(struct search *search, pid_t pid, namespaces_each *each, void *context)
{
    cleanup(buf_release) struct buf command = buf_init(4096);
    char folder[FOLDER_SIZE], name[NAME_MAX_SIZE_TEXT];

    snprintf(folder, sizeof(folder), "/proc/%d", (int)pid);
    if (!name_of(folder, name) || strcmp(name, search->own_name) == 0 ||
        !is_private(search, folder, name))
        return 0;
    command_of(folder, &command);
    return each(context, pid, buf_text(&command));
}

static int by_number(const struct dirent **a, const struct dirent **b)
{
    return strverscmp((*a)->d_name, (*b)->d_name);
}

static int walk(struct search *search, namespaces_each *each, void *context, struct error *err)
{
    struct dirent **entries = NULL;
    int count = scandir("/proc", &entries, NULL, by_number), r = 0;

    if (count < 0)
        return error_system(err, errno, "/proc");
    for (int i = 0; i < count; i++) {
        uint64_t pid;
        if (r == 0 && number_parse(span_text(entries[i]->d_name), INT32_MAX, &pid, NULL) == 0)
            r = look_at(search, (pid_t)pid, each, context);
        free(entries[i]);
    }
    free(entries);
    return r;
}

int namespaces_find_private(const char *target, uint64_t device, namespaces_each *each,
                            void *context, struct error *err)
{
    struct search search = {
        .target = target, .device = device, .ours = buf_init(TABLE_MAX), .judged = map_init()
    };
    int r = file_load("/proc/self/mountinfo", &search.ours, err);

    if (r == 0 && !name_of("/proc/self", search.own_name))
        r = error_system(err, errno, "/proc/self/ns/mnt");
    if (r == 0)
        r = walk(&search, each, context, err);
    map_release(&search.judged);
    buf_release(&search.ours);
    return r;
}
