/* SPDX-License-Identifier: MIT */
/* The mount, and what belongs to it as long as it is there. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/base/notify.h"
#include "fs/control/control_path.h"
#include "fs/holder/fd_store.h"
#include "fs/holder/holder_private.h"
#include "fs/ring/ring.h"
#include "fs/session/kernel_mount.h"
#include "fs/session/mount_table.h"

#define SUBTYPE "kkartifact"

void holder_save(struct holder *holder)
{
    struct error err = { 0 };

    for (size_t i = 0; i < holder->seat_count; i++)
        holder->seats[i]->state->worker = holder->seats[i]->worker;
    if (holder_state_save(holder->state_fd, &holder->state, &err) < 0)
        log_error("%s", err.text);
}

/* The path of the program, for upgrades, and the program itself, for workers. */
static int open_program(struct holder *holder, struct error *err)
{
    char path[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", path, sizeof(path) - 1);

    if (size > 0 && holder->state.program == NULL) {
        path[size] = '\0';
        holder->state.program = memory_text(path);
    }
    holder->program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (holder->program < 0)
        return error_system(err, errno, "/proc/self/exe");
    if (holder->state.program == NULL)
        return error_set(err, -ENOMEM, "the program's own path is unknown");
    return 0;
}

int holder_prepare(struct holder *holder, struct error *err)
{
    int r = open_program(holder, err);

    if (r == 0)
        r = worker_user_find(holder->state.cache, &holder->user, err);
    if (r == 0 && holder->state_fd < 0)
        r = holder_state_create(&holder->state_fd, err);
    for (size_t i = 0; r == 0 && i < holder->seat_count; i++)
        r = seat_prepare(holder->seats[i], err);
    return r;
}

int holder_mount(struct holder *holder, struct seat *seat, struct error *err)
{
    struct holder_state *state = &holder->state;
    const struct seat_descriptors *descriptors = &seat->state->descriptors;
    const struct kernel_mount_options options = {
        .source = state->source, .subtype = SUBTYPE, .allow_other = true, .noexec = state->noexec
    };
    uint64_t device = 0;
    int r = kernel_mount(descriptors->fuse, state->mountpoint, &options, err);

    if (r == 0)
        r = mount_table_device(state->mountpoint, &device, err);
    if (r == 0)
        r = seat_take_device(seat, device, err);
    if (r == 0)
        r = seat_open_sockets(seat, false, err);
    if (r < 0)
        return r;
    holder_save(holder);
    fd_store_keep(&(struct fd_store){ descriptors->fuse, descriptors->ring, descriptors->opens,
                                      holder->state_fd });
    return 0;
}

void holder_unmount(struct holder *holder)
{
    for (size_t i = 0; i < holder->seat_count; i++)
        kernel_mount_end(holder->state.mountpoint, holder->seats[i]->state->device);
    fd_store_drop();
}

static bool is_same_mount(const struct holder_state *state, const char *mountpoint,
                          const char *source)
{
    const struct seat_state *seat = state->seats[0];
    uint64_t device = 0;

    return strcmp(state->mountpoint, mountpoint) == 0 && strcmp(state->source, source) == 0 &&
           seat->device != 0 && seat->init.size > 0 &&
           mount_table_device(mountpoint, &device, NULL) == 0 && device == seat->device &&
           !kernel_mount_is_over(seat->descriptors.fuse);
}

bool holder_find_kept(struct holder_state *state, const char *mountpoint, const char *source,
                      int *out_state_fd)
{
    struct fd_store kept;
    struct error err = { 0 };

    fd_store_take(&kept);
    if (kept.state >= 0 && kept.fuse >= 0 && kept.ring >= 0) {
        int r = holder_state_load(kept.state, state, &err);
        if (r == 0)
            state->seats[0]->descriptors =
                (struct seat_descriptors){ kept.fuse, kept.ring, kept.opens, -1, -1, -1 };
        if (r == 0 && is_same_mount(state, mountpoint, source)) {
            *out_state_fd = kept.state;
            return true;
        }
        log_warning("the mount that the service manager kept is not gone on with: %s",
                    r < 0 ? err.text : "it is another one, or over");
        holder_state_release(state);
    }
    const int all[] = { kept.fuse, kept.ring, kept.opens, kept.state };
    for (size_t i = 0, dropped = 0; i < sizeof(all) / sizeof(*all); i++) {
        if (all[i] < 0)
            continue;
        if (dropped++ == 0)
            fd_store_drop();
        close(all[i]);
    }
    return false;
}
