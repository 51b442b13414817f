/* SPDX-License-Identifier: MIT */
#include "fs/doctor/mount_look.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/codec/json.h"
#include "fs/control/control_client.h"
#include "fs/doctor/process.h"
#include "fs/session/mount_table.h"

#define TYPE "fuse.kkartifact"
#define HOLDER_MS 1000

CLEANUP_DEFINE(json, json_free);

struct collecting {
    const char *mountpoint; /* or NULL */
    struct mount_look *items;
    size_t count, capacity;
};

static bool is_there(const struct collecting *collecting, uint64_t device)
{
    for (size_t i = 0; i < collecting->count; i++)
        if (collecting->items[i].device == device)
            return true;
    return false;
}

/* One that shows at several places (bind mounts) is looked at once. */
static int collect(void *context, const struct mount_table_entry *entry)
{
    struct collecting *collecting = context;
    struct mount_look *look;

    if (strcmp(entry->type, TYPE) != 0 || is_there(collecting, entry->device) ||
        (collecting->mountpoint != NULL && strcmp(collecting->mountpoint, entry->mountpoint) != 0))
        return 0;
    if (collecting->count == collecting->capacity) {
        size_t capacity = collecting->capacity * 2 + 8;
        look = memory_resize(collecting->items, capacity, sizeof(*look));
        if (look == NULL)
            return -ENOMEM;
        collecting->items = look;
        collecting->capacity = capacity;
    }
    look = &collecting->items[collecting->count];
    *look = (struct mount_look){ .device = entry->device, .user = entry->user };
    look->mountpoint = memory_text(entry->mountpoint);
    look->source = memory_text(entry->source);
    collecting->count++;
    return look->mountpoint != NULL && look->source != NULL ? 0 : -ENOMEM;
}

static int64_t pid_of(const struct json_value *root, const char *member)
{
    int64_t pid = 0;

    json_member_integer(json_member(root, member), "pid", &pid, NULL);
    return pid;
}

static void take_status(struct mount_look *look)
{
    const struct json_value *root = json_root(look->status);
    const char *cache = "";

    look->has_holder = !json_is_null(json_member(root, "holder"));
    look->holder = pid_of(root, "holder");
    look->worker = pid_of(root, "worker");
    json_member_text(root, "cache_directory", &cache, NULL);
    if (strlen(cache) < sizeof(look->cache))
        memcpy(look->cache, cache, strlen(cache) + 1);
}

/* Whoever opened the socket is the holder where there is one; its child is the worker, who stands
 * in the cache. */
static void look_at_silent(struct mount_look *look)
{
    cleanup(cleanup_json) struct json *state = NULL;

    look->answer = MOUNT_SILENT;
    look->has_holder =
        control_find_owner(look->device, CONTROL_OF_HOLDER, &look->holder, NULL) == 0;
    if (!look->has_holder) {
        control_find_owner(look->device, CONTROL_OF_MOUNT, &look->worker, NULL);
        return;
    }
    look->worker = process_first_child(look->holder);
    if (!process_directory(look->worker, look->cache, sizeof(look->cache)))
        look->cache[0] = '\0';
    look->holder_answers = control_ask_within(look->device, CONTROL_OF_HOLDER,
                                              "{\"ask\":\"state\"}", HOLDER_MS, &state, NULL) == 0;
}

static void ask(struct mount_look *look)
{
    int64_t owner = 0;
    int r = control_find_owner(look->device, CONTROL_OF_MOUNT, &owner, NULL);

    if ((r == -ENOENT || r == -EACCES) && look->user != geteuid()) {
        look->answer = MOUNT_FOREIGN;
        return;
    }
    if (r == -ENOENT || r == -ESTALE) {
        look->answer = MOUNT_DEAD;
        return;
    }
    if (control_ask_within(look->device, CONTROL_OF_MOUNT, "{\"ask\":\"status\"}", MOUNT_LOOK_MS,
                           &look->status, NULL) == 0)
        take_status(look);
    else
        look_at_silent(look);
}

void mount_look_free(struct mount_look *mounts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        memory_free(mounts[i].mountpoint);
        memory_free(mounts[i].source);
        json_free(mounts[i].status);
    }
    memory_free(mounts);
}

int mount_look_all(const char *mountpoint, struct mount_look **out_mounts, size_t *out_count,
                   struct error *err)
{
    struct collecting collecting = { .mountpoint = mountpoint };
    int r = mount_table_walk(collect, &collecting, err);

    if (r == -ENOMEM)
        error_set(err, r, "out of memory");
    else if (r == 0 && mountpoint != NULL && collecting.count == 0)
        r = error_set(err, -ENOENT, "no mount of kkartifact is at %s", mountpoint);
    if (r < 0) {
        mount_look_free(collecting.items, collecting.count);
        return r;
    }
    for (size_t i = 0; i < collecting.count; i++)
        ask(&collecting.items[i]);
    *out_mounts = collecting.items;
    *out_count = collecting.count;
    return 0;
}
