/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"

struct error;
struct ring;

/*
 * session - one FUSE connection: /dev/fuse, the mount, and the kernel's requests.
 *
 * The kernel's requests arrive at struct session_ops, each with a `struct
 * session_request`, which is answered exactly once, from any thread, now or later:
 * no thread waits for an answer. This folder alone knows libfuse.
 *
 * What every connection of ours is (docs/design/mount.md says why): read-only,
 * noatime, nosuid, nodev; no OPEN and OPENDIR (they are answered ENOSYS once, so
 * that the kernel caches contents and directories and asks neither again; with `opens`
 * that is so of OPENDIR only); READDIRPLUS always; FORGET carries no state; no FLUSH;
 * xattrs ENOSYS unless `xattr`; read-ahead 1 MiB where the kernel lets us set it.
 *
 * The daemon never opens a path inside its own mount.
 */
struct session;
struct session_request;

#define SESSION_ROOT 1             /* the node id of the mount's root */
#define SESSION_FOREVER 31536000.0 /* seconds; for what never changes */

enum session_kind { SESSION_DIRECTORY, SESSION_FILE, SESSION_LINK };

struct session_attributes {
    uint64_t node; /* also st_ino */
    enum session_kind kind;
    uint32_t mode; /* permission bits */
    uint32_t link_count;
    uint64_t size;
    int64_t mtime_s;
    uint32_t mtime_ns; /* a directory whose list has changed must show another time: the kernel
                        * compares it before it uses the list it has cached */
};

/* For the reply to a lookup. node 0: there is nothing of that name (and that is remembered for
 * entry_s). */
struct session_entry {
    struct session_attributes attributes;
    double entry_s;      /* how long the kernel may believe the name */
    double attributes_s; /* ... and the attributes */
};

struct session_statfs {
    uint64_t bytes, bytes_free, files; /* bytes: with those that are free */
};

/*
 * What the owner answers. Called from the session's threads, several at once. `name`
 * lives until the call returns. Each ends with exactly one session_reply_*.
 */
struct session_ops {
    void (*lookup)(void *context, struct session_request *request, uint64_t parent,
                   const char *name);
    void (*attributes)(void *context, struct session_request *request, uint64_t node);
    void (*link)(void *context, struct session_request *request, uint64_t node); /* readlink */
    /* [offset, offset + size) of a file: the whole range that the file has there, or an error;
     * never short. */
    void (*read)(void *context, struct session_request *request, uint64_t node, uint64_t offset,
                 uint32_t size);
    /* Entries from position `offset` on (0: the first); each names the position behind itself. */
    void (*directory)(void *context, struct session_request *request, uint64_t node,
                      uint64_t offset, uint32_t size);
    void (*statfs)(void *context, struct session_request *request);
    /* Both only with `opens`. A file is opened: session_reply_open, or an error. */
    void (*open)(void *context, struct session_request *request, uint64_t node);
    /* The open of that handle has ended; the session answers. A release may come twice when the
     * process before died over it. */
    void (*release)(void *context, uint64_t node, uint64_t handle);
    /* Both only with `xattr`; size 0 asks for the size. */
    void (*xattr_get)(void *context, struct session_request *request, uint64_t node,
                      const char *name, uint32_t size);
    void (*xattr_list)(void *context, struct session_request *request, uint64_t node,
                       uint32_t size);
};

struct session_options {
    const char *source;  /* shown as the mounted thing */
    const char *subtype; /* "kkartifact": the type shown is fuse.kkartifact */
    uint32_t uid, gid;   /* owner of everything */
    bool allow_other;    /* root: others may see it; permissions are then the kernel's business */
    bool xattr;
    bool opens;          /* the kernel tells of opens, and lets files have a backing file */
    bool noexec;         /* no program may be run from it */
    size_t thread_count; /* readers of requests; 0: 2 */
};

/* Opens /dev/fuse, mounts at `mountpoint` (an existing directory; resolved before) and negotiates.
 * As root by mount(2), else through fusermount3. Nothing is answered before session_run. */
int session_mount(struct session **out_session, const char *mountpoint,
                  const struct session_options *options, const struct session_ops *ops,
                  void *context, struct error *err);

/* A connection that outlives the process which answers it: another one keeps the mount. */
struct session_connection {
    int fd;              /* /dev/fuse, mounted there; the session closes its own copy */
    struct ring *ring;   /* requests are read into it; outlives the session */
    struct span init;    /* the kernel's first request, as it was read; copied */
    uint64_t device;     /* of the mount */
    bool without_resend; /* for tests: as on a kernel before 6.9 */
};

/* Goes on with a connection, be it new or one whose last process died: negotiates from the saved
 * request (which the kernel passes over when it has an answer already). session_run then answers
 * what is owed before anything else: the kernel sends it again, or, where it cannot, it is replayed
 * from the ring. Neither mounts nor unmounts. */
int session_adopt(struct session **out_session, const char *mountpoint,
                  const struct session_connection *connection,
                  const struct session_options *options, const struct session_ops *ops,
                  void *context, struct error *err);

/* Answers requests until the file system is unmounted (0), session_stop() is called (0), or the
 * connection breaks (negative errno). Readers are threads of their own. */
int session_run(struct session *session, struct error *err);

/* Makes session_run return soon; safe in any thread, not in a signal handler. */
void session_stop(struct session *session);

/* Takes the mount away if it is still ours (lazily: users of open files go on), closes. Requests
 * that were not answered yet must be answered before. NULL is fine. */
struct session *session_close(struct session *session);

/* The device number of the mount (stat's st_dev), which tells its connection in
 * /sys/fs/fuse/connections. */
uint64_t session_device(const struct session *session);
/* The FUSE protocol as kernel and library have agreed; 0.0 before. */
void session_protocol(const struct session *session, unsigned *out_major, unsigned *out_minor);
/* The version of libfuse that runs. */
const char *session_library(void);
const char *session_mountpoint(const struct session *session);

void session_reply_error(struct session_request *request, int positive_errno);
void session_reply_entry(struct session_request *request, const struct session_entry *entry);
void session_reply_attributes(struct session_request *request,
                              const struct session_attributes *attributes, double attributes_s);
void session_reply_link(struct session_request *request, const char *target);
/* The bytes must be resident memory (a page-in that is cut by a kill would give EIO), not a cold
 * mapping. */
void session_reply_bytes(struct session_request *request, struct span bytes);
/* backing 0: read through the kernel's page cache, which is kept from one open to the next. Else
 * past us, out of the backing file of that id (kernel_backing.h); the kernel makes EIO of an open
 * that is another way than those of the file that live. False: the request was gone, and the open
 * is none. */
bool session_reply_open(struct session_request *request, uint64_t handle, uint32_t backing);
void session_reply_statfs(struct session_request *request, const struct session_statfs *statfs);
void session_reply_xattr_size(struct session_request *request, size_t size);

/* The process (thread id) that waits, for interrupts and "who reads this"; 0 when the kernel does
 * not tell. */
uint32_t session_request_pid(const struct session_request *request);

/* When the kernel's request was first read, in whatever process: clock_monotonic_ms. Only inside
 * the operation that it was given to. */
uint64_t session_request_asked_ms(const struct session_request *request);

/* The kernel's number of the request, the same whenever it is sent. 0: not known (of a connection
 * without a ring). Only inside the operation, like the next. */
uint64_t session_request_number(const struct session_request *request);
/* A process that died may have been given it, and may have answered. */
bool session_request_is_repeated(const struct session_request *request);

/* A directory answer is collected, then sent. add returns false when `size` is used up: then
 * end. */
struct session_listing;
int session_listing_begin(struct session_request *request, uint32_t size,
                          struct session_listing **out_listing);
bool session_listing_add(struct session_listing *listing, const char *name, uint64_t next_offset,
                         const struct session_entry *entry);
void session_listing_reply(struct session_listing *listing); /* ends request and listing */

/* Tells the kernel to forget a name below `parent` (it asks again). Never from inside an
 * operation. */
int session_forget_name(struct session *session, uint64_t parent, const char *name);
/* ... the listing and attributes of a directory. */
int session_forget_directory(struct session *session, uint64_t node);
