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
#define FIRST_REQUEST_MAX ((size_t)128 * 1024) /* what the kernel wants as a buffer at least */
#define INIT 26

void holder_save(struct holder *holder)
{
    struct error err = { 0 };

    holder->state.worker = holder->worker;
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
    struct holder_descriptors *descriptors = &holder->state.descriptors;
    int r = open_program(holder, err);

    if (r == 0)
        r = worker_user_find(holder->state.cache, &holder->user, err);
    if (r == 0 && holder->state_fd < 0)
        r = holder_state_create(&holder->state_fd, err);
    if (r == 0 && descriptors->ring < 0)
        r = ring_create(&descriptors->ring, err);
    if (r == 0)
        r = ring_watch_open(descriptors->ring, &holder->watch, err);
    if (r == 0 && descriptors->fuse < 0) {
        descriptors->fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
        if (descriptors->fuse < 0)
            r = error_system(err, errno, "/dev/fuse");
    }
    return r;
}

/* The kernel asks it at once. It is kept: whoever comes later negotiates from it, too. */
static int read_first_request(struct holder *holder, struct error *err)
{
    cleanup_memory uint8_t *at = memory_new(FIRST_REQUEST_MAX);
    uint32_t header[2] = { 0 };
    ssize_t size;

    if (at == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    do
        size = read(holder->state.descriptors.fuse, at, FIRST_REQUEST_MAX);
    while (size < 0 && errno == EINTR);
    if (size < 0)
        return error_system(err, errno, "the kernel ended the connection at once");
    if (size >= (ssize_t)sizeof(header))
        memcpy(header, at, sizeof(header));
    if (header[0] != (uint32_t)size || header[1] != INIT)
        return error_set(err, -EIO, "the kernel begins with something else");
    buf_add(&holder->state.init, at, (size_t)size);
    return buf_check(&holder->state.init, err);
}

int holder_open_sockets(struct holder *holder, bool resume, struct error *err)
{
    struct holder_descriptors *descriptors = &holder->state.descriptors;
    cleanup(buf_release) struct buf directory = buf_init(4096), path = buf_init(4096),
                                    own = buf_init(4096);
    int r = control_path_directory(&directory, err);

    if (r < 0)
        return r;
    control_path_socket(&path, buf_text(&directory), holder->state.device);
    control_path_holder(&own, buf_text(&directory), holder->state.device);
    r = resume ? control_socket_resume(&holder->control, buf_text(&path), descriptors->control, err)
               : control_socket_open(&holder->control, buf_text(&path), err);
    if (r == 0)
        r = resume ? control_socket_resume(&holder->own, buf_text(&own), descriptors->own, err)
                   : control_socket_open(&holder->own, buf_text(&own), err);
    if (r == 0) {
        descriptors->control = holder->control.fd;
        descriptors->own = holder->own.fd;
    }
    return r;
}

int holder_mount(struct holder *holder, struct error *err)
{
    struct holder_state *state = &holder->state;
    const struct kernel_mount_options options = {
        .source = state->source, .subtype = SUBTYPE, .allow_other = true, .noexec = state->noexec
    };
    int r = kernel_mount(state->descriptors.fuse, state->mountpoint, &options, err);

    if (r < 0)
        return r;
    r = mount_table_device(state->mountpoint, &state->device, err);
    if (r == 0)
        r = read_first_request(holder, err);
    if (r == 0)
        r = holder_open_sockets(holder, false, err);
    if (r < 0)
        return r;
    holder_save(holder);
    fd_store_keep(state->descriptors.fuse, state->descriptors.ring, holder->state_fd);
    return 0;
}

void holder_unmount(struct holder *holder)
{
    kernel_mount_end(holder->state.mountpoint, holder->state.device);
    fd_store_drop();
}

static bool is_same_mount(const struct holder_state *state, const char *mountpoint,
                          const char *source)
{
    uint64_t device = 0;

    return strcmp(state->mountpoint, mountpoint) == 0 && strcmp(state->source, source) == 0 &&
           state->device != 0 && state->init.size > 0 &&
           mount_table_device(mountpoint, &device, NULL) == 0 && device == state->device &&
           !kernel_mount_is_over(state->descriptors.fuse);
}

bool holder_find_kept(struct holder_state *state, const char *mountpoint, const char *source,
                      int *out_state_fd)
{
    int fuse, ring, fd;
    struct error err = { 0 };

    fd_store_take(&fuse, &ring, &fd);
    if (fd >= 0 && fuse >= 0 && ring >= 0) {
        int r = holder_state_load(fd, state, &err);
        state->descriptors = (struct holder_descriptors){ fuse, ring, -1, -1, -1 };
        if (r == 0 && is_same_mount(state, mountpoint, source)) {
            *out_state_fd = fd;
            return true;
        }
        log_warning("the mount that the service manager kept is not gone on with: %s",
                    r < 0 ? err.text : "it is another one, or over");
        holder_state_release(state);
    }
    if (fuse >= 0 || ring >= 0 || fd >= 0)
        fd_store_drop();
    if (fuse >= 0)
        close(fuse);
    if (ring >= 0)
        close(ring);
    if (fd >= 0)
        close(fd);
    return false;
}
