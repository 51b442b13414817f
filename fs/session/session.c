/* SPDX-License-Identifier: MIT */
#include "fs/session/session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "fs/session/kernel_mount.h"
#include "fs/session/mount_table.h"
#include "fs/session/session_private.h"

#define READ_AHEAD_SIZE (1024 * 1024)
#define BACKGROUND_MAX 64 /* read-ahead requests in flight */

fuse_req_t session_fuse_of(struct session_request *request)
{
    return (fuse_req_t)(void *)request;
}

static struct session_request *request_of(fuse_req_t req)
{
    return (struct session_request *)(void *)req;
}

struct session *session_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

static void on_init(void *userdata, struct fuse_conn_info *conn)
{
    struct session *session = userdata;

    atomic_store(&session->protocol, conn->proto_major << 16 | (conn->proto_minor & 0xffff));
    /* READDIRPLUS without the kernel's guessing: attributes are in the mapped tree anyway. */
    fuse_set_feature_flag(conn, FUSE_CAP_READDIRPLUS);
    fuse_unset_feature_flag(conn, FUSE_CAP_READDIRPLUS_AUTO);
    /* AUTO_INVAL_DATA has the kernel look at a directory's time before it uses the list that it has
     * cached, which is how new versions are seen; below a version times never run out. */
    fuse_set_feature_flag(conn, FUSE_CAP_AUTO_INVAL_DATA);
    fuse_set_feature_flag(conn, FUSE_CAP_ASYNC_READ);
    fuse_set_feature_flag(conn, FUSE_CAP_PARALLEL_DIROPS);
    fuse_set_feature_flag(conn, FUSE_CAP_CACHE_SYMLINKS);
    fuse_set_feature_flag(conn, FUSE_CAP_EXPORT_SUPPORT); /* "." and ".." can be looked up */
    if (session->options.opens)
        fuse_set_feature_flag(conn, FUSE_CAP_PASSTHROUGH);
    else
        fuse_set_feature_flag(conn, FUSE_CAP_NO_OPEN_SUPPORT);
    fuse_set_feature_flag(conn, FUSE_CAP_NO_OPENDIR_SUPPORT);
    fuse_unset_feature_flag(conn, FUSE_CAP_SPLICE_READ);
    fuse_unset_feature_flag(conn, FUSE_CAP_SPLICE_WRITE);
    fuse_unset_feature_flag(conn, FUSE_CAP_SPLICE_MOVE);
    conn->max_readahead = READ_AHEAD_SIZE;
    conn->max_background = BACKGROUND_MAX;
    conn->congestion_threshold = BACKGROUND_MAX * 3 / 4;
    conn->time_gran = 1;
}

static void on_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct session *session = session_of(req);

    session->ops->lookup(session->context, request_of(req), parent, name);
}

static void on_getattr(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *info)
{
    struct session *session = session_of(req);

    session->ops->attributes(session->context, request_of(req), node);
}

static void on_readlink(fuse_req_t req, fuse_ino_t node)
{
    struct session *session = session_of(req);

    session->ops->link(session->context, request_of(req), node);
}

static void on_open(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *info)
{
    struct session *session = session_of(req);

    session->ops->open(session->context, request_of(req), node);
}

static void on_release(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *info)
{
    struct session *session = session_of(req);

    session->ops->release(session->context, node, info->fh);
    fuse_reply_err(req, 0);
}

/* ENOSYS once: the kernel opens by itself from then on, and keeps what it has cached. */
static void on_open_unasked(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *info)
{
    fuse_reply_err(req, ENOSYS);
}

static void on_read(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset,
                    struct fuse_file_info *info)
{
    struct session *session = session_of(req);

    session->ops->read(session->context, request_of(req), node, (uint64_t)offset, (uint32_t)size);
}

static void on_readdirplus(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset,
                           struct fuse_file_info *info)
{
    struct session *session = session_of(req);

    session->ops->directory(session->context, request_of(req), node, (uint64_t)offset,
                            (uint32_t)size);
}

static void on_statfs(fuse_req_t req, fuse_ino_t node)
{
    struct session *session = session_of(req);

    session->ops->statfs(session->context, request_of(req));
}

static void on_getxattr(fuse_req_t req, fuse_ino_t node, const char *name, size_t size)
{
    struct session *session = session_of(req);

    session->ops->xattr_get(session->context, request_of(req), node, name, (uint32_t)size);
}

static void on_listxattr(fuse_req_t req, fuse_ino_t node, size_t size)
{
    struct session *session = session_of(req);

    session->ops->xattr_list(session->context, request_of(req), node, (uint32_t)size);
}

/* What is absent here is answered by libfuse: ENOSYS, or nothing for FORGET. */
static struct fuse_lowlevel_ops fuse_ops_for(const struct session_options *options)
{
    struct fuse_lowlevel_ops ops = {
        .init = on_init,
        .lookup = on_lookup,
        .getattr = on_getattr,
        .readlink = on_readlink,
        .open = on_open_unasked,
        .opendir = on_open_unasked,
        .read = on_read,
        .readdirplus = on_readdirplus,
        .statfs = on_statfs,
    };

    if (options->opens) {
        ops.open = on_open;
        ops.release = on_release;
    }
    if (options->xattr) {
        ops.getxattr = on_getxattr;
        ops.listxattr = on_listxattr;
    }
    return ops;
}

/* The source is shown in /proc/mounts; a comma would end it in libfuse's option text. */
static void add_escaped(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == ',' || *text == '\\')
            buf_add_byte(out, '\\');
        buf_add_byte(out, (uint8_t)*text);
    }
}

static int make_fuse(struct session *session, struct error *err)
{
    struct fuse_lowlevel_ops ops = fuse_ops_for(&session->options);
    cleanup(buf_release) struct buf text = buf_init(8192);
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    int r = 0;

    buf_add_text(&text, "ro,noatime,nosuid,nodev,default_permissions,fsname=");
    add_escaped(&text, session->options.source);
    buf_add_text(&text, ",subtype=");
    add_escaped(&text, session->options.subtype);
    if (session->options.noexec)
        buf_add_text(&text, ",noexec");
    if (session->options.allow_other)
        buf_add_text(&text, ",allow_other");
    r = buf_check(&text, err);
    if (r < 0)
        return r;
    if (fuse_opt_add_arg(&args, "kkartifact-fs") == 0 && fuse_opt_add_arg(&args, "-o") == 0 &&
        fuse_opt_add_arg(&args, buf_text(&text)) == 0)
        session->fuse = fuse_session_new(&args, &ops, sizeof(ops), session);
    fuse_opt_free_args(&args);
    if (session->fuse == NULL)
        return error_set(err, -ENOMEM, "libfuse did not start");
    return 0;
}

static int mount_as_root(struct session *session, struct error *err)
{
    const struct kernel_mount_options options = {
        .source = session->options.source,
        .subtype = session->options.subtype,
        .allow_other = session->options.allow_other,
        .noexec = session->options.noexec,
    };
    cleanup_fd int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    char path[32];
    int r;

    if (fd < 0)
        return error_system(err, errno, "/dev/fuse");
    r = kernel_mount(fd, session->mountpoint, &options, err);
    if (r < 0)
        return r;
    snprintf(path, sizeof(path), "/dev/fd/%d", fd);
    if (fuse_session_mount(session->fuse, path) != 0) {
        umount2(session->mountpoint, MNT_DETACH);
        return error_set(err, -EIO, "libfuse did not take /dev/fuse");
    }
    take_fd(&fd); /* libfuse closes it */
    return 0;
}

static int mount_as_user(struct session *session, struct error *err)
{
    if (fuse_session_mount(session->fuse, session->mountpoint) != 0)
        return error_set(err, -EACCES, "fusermount3 could not mount %s", session->mountpoint);
    session->by_helper = true;
    return 0;
}

int session_serve_one(struct session *session, struct fuse_buf *buffer)
{
    int r;

    if (session->ring != NULL)
        return session_serve_slot(session, buffer);
    r = fuse_session_receive_buf(session->fuse, buffer);
    if (r > 0)
        fuse_session_process_buf(session->fuse, buffer);
    return r;
}

/* INIT is the first request of a connection. The read-ahead can only be raised after it. */
static int negotiate(struct session *session, struct error *err)
{
    struct fuse_buf buffer = { .mem = NULL };
    int r;

    do
        r = session_serve_one(session, &buffer);
    while (r == -EINTR);
    free(buffer.mem);
    if (r <= 0)
        return error_set(err, -EIO, "the kernel ended the connection at once");
    r = mount_table_device(session->mountpoint, &session->device, err);
    if (r < 0)
        return r;
    kernel_mount_raise_read_ahead(session->device);
    return 0;
}

int session_new(struct session **out_session, const char *mountpoint,
                const struct session_options *options, const struct session_ops *ops, void *context,
                struct error *err)
{
    struct session *session = memory_new(sizeof(*session));
    int r = 0;

    if (session == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    if (pthread_key_create(&session->asked, NULL) != 0) {
        memory_free(session);
        return error_set(err, -ENOMEM, "no key for threads is left");
    }
    session->ops = ops;
    session->context = context;
    session->options = *options;
    pthread_mutex_init(&session->lock, NULL);
    pthread_cond_init(&session->stopped, NULL);
    session->mountpoint = memory_text(mountpoint);
    if (session->mountpoint == NULL)
        r = error_set(err, -ENOMEM, "out of memory");
    if (r == 0)
        r = make_fuse(session, err);
    if (r < 0) {
        session_close(session);
        return r;
    }
    *out_session = session;
    return 0;
}

int session_mount(struct session **out_session, const char *mountpoint,
                  const struct session_options *options, const struct session_ops *ops,
                  void *context, struct error *err)
{
    struct session *session = NULL;
    int r = session_new(&session, mountpoint, options, ops, context, err);

    if (r < 0)
        return r;
    r = geteuid() == 0 ? mount_as_root(session, err) : mount_as_user(session, err);
    if (r == 0) {
        r = negotiate(session, err);
        if (r < 0)
            umount2(session->mountpoint, MNT_DETACH);
    }
    if (r < 0) {
        session_close(session);
        return r;
    }
    *out_session = session;
    return 0;
}

struct session *session_close(struct session *session)
{
    if (session == NULL)
        return NULL;
    if (session->fuse != NULL) {
        if (session->by_helper)
            fuse_session_unmount(session->fuse);
        else if (session->ring == NULL)
            kernel_mount_end(session->mountpoint, session->device);
        fuse_session_destroy(session->fuse);
    }
    pthread_mutex_destroy(&session->lock);
    pthread_cond_destroy(&session->stopped);
    pthread_key_delete(session->asked);
    memory_free(session->mountpoint);
    return memory_free(session);
}

uint64_t session_device(const struct session *session)
{
    return session->device;
}

void session_protocol(const struct session *session, unsigned *out_major, unsigned *out_minor)
{
    uint32_t protocol = atomic_load(&((struct session *)(uintptr_t)session)->protocol);

    *out_major = protocol >> 16;
    *out_minor = protocol & 0xffff;
}

const char *session_library(void)
{
    return fuse_pkgversion();
}

const char *session_mountpoint(const struct session *session)
{
    return session->mountpoint;
}

int session_forget_name(struct session *session, uint64_t parent, const char *name)
{
    return fuse_lowlevel_notify_inval_entry(session->fuse, parent, name, strlen(name));
}

int session_forget_directory(struct session *session, uint64_t node)
{
    return fuse_lowlevel_notify_inval_inode(session->fuse, node, 0, 0);
}
