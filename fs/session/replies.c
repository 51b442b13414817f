/* SPDX-License-Identifier: MIT */
/* Answers, in libfuse's words. */
#include <errno.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "common/base/memory.h"
#include "fs/session/session_private.h"

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
        .st_blksize = SESSION_PREFERRED_SIZE,
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
    fuse_reply_err(session_fuse_of(request), positive_errno);
}

void session_reply_entry(struct session_request *request, const struct session_entry *entry)
{
    struct fuse_entry_param param;

    entry_of(session_fuse_of(request), entry, &param);
    fuse_reply_entry(session_fuse_of(request), &param);
}

void session_reply_attributes(struct session_request *request,
                              const struct session_attributes *attributes, double attributes_s)
{
    struct stat stat;

    stat_of(session_fuse_of(request), attributes, &stat);
    fuse_reply_attr(session_fuse_of(request), &stat, attributes_s);
}

void session_reply_link(struct session_request *request, const char *target)
{
    fuse_reply_readlink(session_fuse_of(request), target);
}

void session_reply_bytes(struct session_request *request, struct span bytes)
{
    fuse_reply_buf(session_fuse_of(request), (const char *)bytes.bytes, bytes.size);
}

bool session_reply_open(struct session_request *request, uint64_t handle, uint32_t backing)
{
    /* Never both: the kernel fails an open that has a backing file and keeps its pages. */
    struct fuse_file_info info = {
        .fh = handle,
        .keep_cache = backing == 0,
        .backing_id = (int32_t)backing,
    };

    return fuse_reply_open(session_fuse_of(request), &info) == 0;
}

void session_reply_statfs(struct session_request *request, const struct session_statfs *statfs)
{
    struct statvfs out = {
        .f_bsize = SESSION_PREFERRED_SIZE,
        .f_frsize = 4096,
        .f_blocks = statfs->bytes / 4096,
        .f_bfree = statfs->bytes_free / 4096,
        .f_bavail = statfs->bytes_free / 4096,
        .f_files = statfs->files,
        .f_namemax = 255,
    };

    fuse_reply_statfs(session_fuse_of(request), &out);
}

void session_reply_xattr_size(struct session_request *request, size_t size)
{
    fuse_reply_xattr(session_fuse_of(request), size);
}

uint32_t session_request_pid(const struct session_request *request)
{
    const struct fuse_ctx *context =
        fuse_req_ctx(session_fuse_of((struct session_request *)(uintptr_t)request));

    return (uint32_t)context->pid;
}

/* NULL: of a connection without a ring, or of another thread. */
static const struct session_asked *asked_of(const struct session_request *request)
{
    const struct session *session =
        session_of(session_fuse_of((struct session_request *)(uintptr_t)request));

    return pthread_getspecific(session->asked);
}

uint64_t session_request_asked_ms(const struct session_request *request)
{
    const struct session_asked *asked = asked_of(request);

    return asked != NULL ? asked->ms : clock_monotonic_ms();
}

uint64_t session_request_number(const struct session_request *request)
{
    const struct session_asked *asked = asked_of(request);

    return asked != NULL ? asked->number : 0;
}

bool session_request_is_repeated(const struct session_request *request)
{
    const struct session_asked *asked = asked_of(request);

    return asked != NULL && asked->repeated;
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
    listing->req = session_fuse_of(request);
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
