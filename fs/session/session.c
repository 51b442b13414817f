/* SPDX-License-Identifier: MIT */
#define FUSE_USE_VERSION 317
#include "fs/session/session.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include <fuse_lowlevel.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/platform.h"
#include "fs/session/mount_table.h"

#define READ_AHEAD_KB "1024"
#define READ_AHEAD_SIZE (1024 * 1024)
#define BACKGROUND_MAX 64 /* read-ahead requests in flight */
#define PREFERRED_SIZE (128 * 1024)
#define DEFAULT_THREADS 2
#define KICK_SIGNAL SIGUSR1
#define KICK_INTERVAL_NS (10 * 1000 * 1000)

struct session {
    struct fuse_session *fuse;
    const struct session_ops *ops;
    void *context;
    struct session_options options;
    char *mountpoint;
    uint64_t device;
    bool by_helper; /* fusermount3 mounted it, and takes it away */
    atomic_bool stopping;
    pthread_mutex_t lock; /* of the wait for the end */
    pthread_cond_t stopped;
};

/* A request is libfuse's, under our name. */
static fuse_req_t fuse_of(struct session_request *request)
{
    return (fuse_req_t)(void *)request;
}

static struct session_request *request_of(fuse_req_t req)
{
    return (struct session_request *)(void *)req;
}

static struct session *session_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

static void on_init(void *userdata, struct fuse_conn_info *conn)
{
    /* READDIRPLUS without the kernel's guessing: attributes are in the mapped tree anyway. */
    fuse_set_feature_flag(conn, FUSE_CAP_READDIRPLUS);
    fuse_unset_feature_flag(conn, FUSE_CAP_READDIRPLUS_AUTO);
    /* AUTO_INVAL_DATA has the kernel look at a directory's time before it uses the list that it has
     * cached, which is how new versions are seen; below a version times never run out. */
    fuse_set_feature_flag(conn, FUSE_CAP_AUTO_INVAL_DATA);
    fuse_set_feature_flag(conn, FUSE_CAP_ASYNC_READ);
    fuse_set_feature_flag(conn, FUSE_CAP_PARALLEL_DIROPS);
    fuse_set_feature_flag(conn, FUSE_CAP_CACHE_SYMLINKS);
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

/* ENOSYS once: the kernel opens by itself from then on, and keeps what it has cached. */
static void on_open(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *info)
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
static struct fuse_lowlevel_ops fuse_ops_for(bool xattr)
{
    struct fuse_lowlevel_ops ops = {
        .init = on_init,
        .lookup = on_lookup,
        .getattr = on_getattr,
        .readlink = on_readlink,
        .open = on_open,
        .opendir = on_open,
        .read = on_read,
        .readdirplus = on_readdirplus,
        .statfs = on_statfs,
    };

    if (xattr) {
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
    struct fuse_lowlevel_ops ops = fuse_ops_for(session->options.xattr);
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
    cleanup_fd int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    cleanup(buf_release) struct buf text = buf_init(8192), type = buf_init(256);
    unsigned long flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOATIME;
    char path[32];
    int r;

    if (session->options.noexec)
        flags |= MS_NOEXEC;
    if (fd < 0)
        return error_system(err, errno, "/dev/fuse");
    buf_format(&text, "fd=%d,rootmode=40000,user_id=0,group_id=0,default_permissions", fd);
    if (session->options.allow_other)
        buf_add_text(&text, ",allow_other");
    buf_format(&type, "fuse.%s", session->options.subtype);
    r = buf_check(&text, err);
    if (r == 0)
        r = buf_check(&type, err);
    if (r < 0)
        return r;
    if (mount(session->options.source, session->mountpoint, buf_text(&type), flags,
              buf_text(&text)) < 0)
        return error_system(err, errno, "mount %s", session->mountpoint);
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

/* One request: read, handled. 0 at the end of the connection, -EINTR after a signal. */
static int serve_one(struct session *session, struct fuse_buf *buffer)
{
    int r = fuse_session_receive_buf(session->fuse, buffer);

    if (r > 0)
        fuse_session_process_buf(session->fuse, buffer);
    return r;
}

/* INIT is the first request of a connection. The read-ahead can only be raised after it. */
static int negotiate(struct session *session, struct error *err)
{
    struct fuse_buf buffer = { .mem = NULL };
    cleanup_fd int fd = -1;
    char path[64];
    int r;

    do
        r = serve_one(session, &buffer);
    while (r == -EINTR);
    free(buffer.mem);
    if (r <= 0)
        return error_set(err, -EIO, "the kernel ended the connection at once");
    r = mount_table_device(session->mountpoint, &session->device, err);
    if (r < 0)
        return r;
    snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", major(session->device),
             minor(session->device));
    fd = open(path, O_WRONLY | O_CLOEXEC);
    /* A user may not: 128 KiB requests then, slower but right. */
    if (fd >= 0 && write(fd, READ_AHEAD_KB, strlen(READ_AHEAD_KB)) < 0)
        return 0;
    return 0;
}

int session_mount(struct session **out_session, const char *mountpoint,
                  const struct session_options *options, const struct session_ops *ops,
                  void *context, struct error *err)
{
    struct session *session = memory_new(sizeof(*session));
    int r = 0;

    if (session == NULL)
        return error_set(err, -ENOMEM, "out of memory");
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
    if (r == 0)
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

static void ignore_kick(int number)
{
}

struct reader {
    struct session *session;
    pthread_t thread;
    int result;
    atomic_bool ended;
};

static void read_requests(struct reader *reader)
{
    struct session *session = reader->session;
    struct fuse_buf buffer = { .mem = NULL };
    int r = 0;

    while (!atomic_load(&session->stopping) && !fuse_session_exited(session->fuse)) {
        r = serve_one(session, &buffer);
        if (r == 0 || (r < 0 && r != -EINTR && r != -EAGAIN))
            break;
    }
    free(buffer.mem);
    reader->result = r == -EINTR || r == -EAGAIN || r > 0 ? 0 : r;
    atomic_store(&reader->ended, true);
    session_stop(session); /* one reader's end is everyone's */
}

static void *reader_main(void *context)
{
    sigset_t kick;

    sigemptyset(&kick);
    sigaddset(&kick, KICK_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
    read_requests(context);
    return NULL;
}

/* A reader sleeps in read(2), which a signal ends; sent again since it may come just before
 * that. */
static void join_reader(struct reader *reader)
{
    static const struct timespec interval = { .tv_nsec = KICK_INTERVAL_NS };

    while (!atomic_load(&reader->ended)) {
        pthread_kill(reader->thread, KICK_SIGNAL);
        nanosleep(&interval, NULL);
    }
    pthread_join(reader->thread, NULL);
}

static void wait_for_stop(struct session *session)
{
    pthread_mutex_lock(&session->lock);
    while (!atomic_load(&session->stopping))
        pthread_cond_wait(&session->stopped, &session->lock);
    pthread_mutex_unlock(&session->lock);
}

/* Fewer readers are slower, not wrong; none is an error. */
static size_t start_readers(struct session *session, struct reader *readers, size_t count)
{
    size_t started = 0;

    while (started < count) {
        readers[started].session = session;
        if (platform_thread_start(&readers[started].thread, reader_main, &readers[started]) != 0)
            break;
        started++;
    }
    return started;
}

int session_run(struct session *session, struct error *err)
{
    size_t count =
        session->options.thread_count != 0 ? session->options.thread_count : DEFAULT_THREADS;
    struct sigaction action = { .sa_handler = ignore_kick }, old;
    cleanup_memory struct reader *readers = memory_array(count, sizeof(*readers));
    size_t started = 0;
    int result = 0;

    if (readers == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    sigaction(KICK_SIGNAL, &action, &old);
    started = start_readers(session, readers, count);
    if (started > 0)
        wait_for_stop(session);
    for (size_t i = 0; i < started; i++) {
        join_reader(&readers[i]);
        if (readers[i].result < 0)
            result = readers[i].result;
    }
    sigaction(KICK_SIGNAL, &old, NULL);
    if (started == 0)
        return error_set(err, -EAGAIN, "no thread could be started");
    return result < 0 ? error_system(err, -result, "reading from /dev/fuse") : 0;
}

void session_stop(struct session *session)
{
    pthread_mutex_lock(&session->lock);
    atomic_store(&session->stopping, true);
    fuse_session_exit(session->fuse);
    pthread_cond_broadcast(&session->stopped);
    pthread_mutex_unlock(&session->lock);
}

/* Something else may have been mounted over or instead of ours since. */
static bool is_still_mounted(const struct session *session)
{
    uint64_t device;

    return session->device != 0 && mount_table_device(session->mountpoint, &device, NULL) == 0 &&
           device == session->device;
}

struct session *session_close(struct session *session)
{
    if (session == NULL)
        return NULL;
    if (session->fuse != NULL) {
        if (session->by_helper)
            fuse_session_unmount(session->fuse);
        else if (is_still_mounted(session))
            umount2(session->mountpoint, MNT_DETACH);
        fuse_session_destroy(session->fuse);
    }
    pthread_mutex_destroy(&session->lock);
    pthread_cond_destroy(&session->stopped);
    memory_free(session->mountpoint);
    return memory_free(session);
}

uint64_t session_device(const struct session *session)
{
    return session->device;
}

const char *session_mountpoint(const struct session *session)
{
    return session->mountpoint;
}

static void stat_of(fuse_req_t req, const struct session_attributes *attributes, struct stat *out)
{
    static const mode_t types[] = {
        [SESSION_DIRECTORY] = S_IFDIR, [SESSION_FILE] = S_IFREG, [SESSION_LINK] = S_IFLNK
    };
    const struct session *session = session_of(req);

    *out = (struct stat){
        .st_ino = attributes->node,
        .st_mode = types[attributes->kind] | (attributes->mode & 07777),
        .st_nlink = attributes->link_count,
        .st_uid = session->options.uid,
        .st_gid = session->options.gid,
        .st_size = (off_t)attributes->size,
        .st_blksize = PREFERRED_SIZE,
        .st_blocks = (blkcnt_t)((attributes->size + 511) / 512),
        .st_mtim = { .tv_sec = attributes->mtime_s, .tv_nsec = attributes->mtime_ns },
    };
    out->st_ctim = out->st_mtim;
    out->st_atim = out->st_mtim;
}

static void entry_of(fuse_req_t req, const struct session_entry *entry,
                     struct fuse_entry_param *out)
{
    *out = (struct fuse_entry_param){
        .ino = entry->attributes.node,
        .generation = 1,
        .attr_timeout = entry->attributes_s,
        .entry_timeout = entry->entry_s,
    };
    stat_of(req, &entry->attributes, &out->attr);
}

/* A failed reply means that the connection or the request is gone: nobody is left to tell. */
void session_reply_error(struct session_request *request, int positive_errno)
{
    fuse_reply_err(fuse_of(request), positive_errno);
}

void session_reply_entry(struct session_request *request, const struct session_entry *entry)
{
    struct fuse_entry_param param;

    entry_of(fuse_of(request), entry, &param);
    fuse_reply_entry(fuse_of(request), &param);
}

void session_reply_attributes(struct session_request *request,
                              const struct session_attributes *attributes, double attributes_s)
{
    struct stat stat;

    stat_of(fuse_of(request), attributes, &stat);
    fuse_reply_attr(fuse_of(request), &stat, attributes_s);
}

void session_reply_link(struct session_request *request, const char *target)
{
    fuse_reply_readlink(fuse_of(request), target);
}

void session_reply_bytes(struct session_request *request, struct span bytes)
{
    fuse_reply_buf(fuse_of(request), (const char *)bytes.bytes, bytes.size);
}

void session_reply_statfs(struct session_request *request, const struct session_statfs *statfs)
{
    struct statvfs out = {
        .f_bsize = PREFERRED_SIZE,
        .f_frsize = 4096,
        .f_blocks = statfs->bytes / 4096,
        .f_bfree = statfs->bytes_free / 4096,
        .f_bavail = statfs->bytes_free / 4096,
        .f_files = statfs->files,
        .f_namemax = 255,
    };

    fuse_reply_statfs(fuse_of(request), &out);
}

void session_reply_xattr_size(struct session_request *request, size_t size)
{
    fuse_reply_xattr(fuse_of(request), size);
}

uint32_t session_request_pid(const struct session_request *request)
{
    const struct fuse_ctx *context =
        fuse_req_ctx(fuse_of((struct session_request *)(uintptr_t)request));

    return (uint32_t)context->pid;
}

struct session_listing {
    fuse_req_t req;
    size_t size;
    size_t used;
    char bytes[];
};

int session_listing_begin(struct session_request *request, uint32_t size,
                          struct session_listing **out_listing)
{
    struct session_listing *listing = memory_new(sizeof(*listing) + size);

    if (listing == NULL)
        return -ENOMEM;
    listing->req = fuse_of(request);
    listing->size = size;
    *out_listing = listing;
    return 0;
}

bool session_listing_add(struct session_listing *listing, const char *name, uint64_t next_offset,
                         const struct session_entry *entry)
{
    struct fuse_entry_param param;
    size_t left = listing->size - listing->used, needed;

    entry_of(listing->req, entry, &param);
    needed = fuse_add_direntry_plus(listing->req, listing->bytes + listing->used, left, name,
                                    &param, (off_t)next_offset);
    if (needed > left)
        return false;
    listing->used += needed;
    return true;
}

void session_listing_reply(struct session_listing *listing)
{
    fuse_reply_buf(listing->req, listing->bytes, listing->used);
    memory_free(listing);
}

int session_forget_name(struct session *session, uint64_t parent, const char *name)
{
    return fuse_lowlevel_notify_inval_entry(session->fuse, parent, name, strlen(name));
}

int session_forget_directory(struct session *session, uint64_t node)
{
    return fuse_lowlevel_notify_inval_inode(session->fuse, node, 0, 0);
}
