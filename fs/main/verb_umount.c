/* SPDX-License-Identifier: MIT */
#include "fs/main/verbs.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/options.h"
#include "common/codec/json.h"
#include "fs/control/control_client.h"
#include "fs/main/exit_code.h"
#include "fs/main/former_mount.h"
#include "fs/session/mount_table.h"

#define END_WAIT_MS 10000

CLEANUP_DEFINE(json, json_free);

static int check_type(const char *mountpoint, struct error *err)
{
    cleanup_memory char *type = NULL;
    int r = mount_table_type(mountpoint, &type, err);

    if (r == 0 && strcmp(type, FORMER_MOUNT_TYPE) != 0)
        r = error_set(err, -EINVAL, "%s is a mount of type %s, not of kkartifact", mountpoint,
                      type);
    return r;
}

/* Of an attach: what was shown before is still in use, so that its holder goes on. */
static bool has_others(uint64_t device)
{
    cleanup(cleanup_json) struct json *state = NULL;
    const struct json_value *attached;

    if (control_ask_holder(device, "{\"ask\":\"state\"}", &state, NULL) < 0)
        return false;
    attached = json_member(json_root(state), "attached");
    return json_next(json_member(attached, "in_use"), NULL) != NULL;
}

/* The daemon's process, to wait for; -1: none answers, or it does not end. */
static int find_daemon(uint64_t device)
{
    cleanup(cleanup_json) struct json *answer = NULL;
    int64_t pid = 0;

    if (has_others(device))
        return -1;
    if (control_ask(device, "{\"ask\":\"pid\"}", &answer, NULL) < 0 ||
        json_member_integer(json_root(answer), "pid", &pid, NULL) < 0 || pid <= 0 || pid > INT_MAX)
        return -1;
    return (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
}

/* It ends by itself; then its cache and its place are free. */
static void wait_for_end(int daemon)
{
    struct pollfd polled = { .fd = daemon, .events = POLLIN };

    if (daemon >= 0)
        poll(&polled, 1, END_WAIT_MS);
}

int verb_umount(const struct options *options, struct error *err)
{
    char *mountpoint = realpath(options_operand(options, 0), NULL);
    bool lazy = options_has(options, "lazy");
    cleanup_fd int daemon = -1;
    uint64_t device = 0;
    int r = 0;

    if (mountpoint == NULL) {
        error_system(err, errno, "%s", options_operand(options, 0));
        return EXIT_LOCAL;
    }
    r = check_type(mountpoint, err);
    if (r == 0)
        r = mount_table_device(mountpoint, &device, err);
    if (r == 0 && !lazy)
        daemon = find_daemon(device);
    if (r == 0)
        r = former_mount_remove(mountpoint, lazy, err);
    if (r == 0 && !lazy)
        wait_for_end(daemon);
    free(mountpoint);
    return exit_code_of(EXIT_OF_LOCAL, r);
}
