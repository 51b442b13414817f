/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct json;

/*
 * mount_look - the mounts of kkartifact that the kernel has, and whether somebody answers for each.
 *
 * From the mount table, the control sockets and /proc; nothing is asked through the mount itself.
 * Who does not answer within MOUNT_LOOK_MS does not answer.
 */
#define MOUNT_LOOK_MS 4000
#define MOUNT_LOOK_PATH_SIZE 4096

enum mount_answer {
    MOUNT_ANSWERS,
    MOUNT_SILENT,  /* somebody has the socket, and says nothing */
    MOUNT_DEAD,    /* nobody has */
    MOUNT_FOREIGN, /* of another user's daemon, which does not answer us */
};

struct mount_look {
    char *mountpoint, *source;
    uint64_t device;
    uint32_t user; /* who mounted it */
    enum mount_answer answer;
    struct json *status;              /* of one that answers; else NULL */
    bool has_holder;                  /* root's are held */
    int64_t holder, worker;           /* processes; 0: none, or not known */
    bool holder_answers;              /* asked only when the mount is silent */
    char cache[MOUNT_LOOK_PATH_SIZE]; /* "" when it is not known */
};

/* Those of `mountpoint` alone when it is not NULL (-ENOENT: none of ours is there), else all. */
int mount_look_all(const char *mountpoint, struct mount_look **out_mounts, size_t *out_count,
                   struct error *err);
void mount_look_free(struct mount_look *mounts, size_t count);
