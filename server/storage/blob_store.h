/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

/*
 * blob_store - immutable bytes under a key that is never used again.
 *
 * A store never changes an object once it can be read. An object is written by
 * one writer at a time, front to back; until it is committed nobody can read it.
 * A writer may be suspended: what it wrote stays, durable and unreadable, and
 * any process goes on with it by blob_store_resume().
 *
 * Sizes and offsets are bytes. Keys: BLOB_KEY_MIN to BLOB_KEY_MAX characters of
 * [a-z0-9.-], the first four of [a-z0-9] (they spread the objects); -EINVAL
 * otherwise. All calls may be made from any thread; a writer belongs to one.
 *
 * Every store carries a sentinel with the id of the store that it belongs to
 * (blob_store_id); one without it, or with another id, is not opened.
 *
 * Errors, from every call:
 *   -ENOENT    no such object
 *   -EEXIST    the key is taken
 *   -EBUSY     another writer has this unfinished object open
 *   -EBADMSG   the store is not what it should be: other size, other sentinel
 *   -EAGAIN    the backend is away for now; the same call may succeed later
 *   -ENOSPC    full
 *   -EROFS     read-only
 *   -EIO       the device or the connection failed
 *   -ENOMEM    out of memory
 */
#define BLOB_KEY_MIN 6
#define BLOB_KEY_MAX 127
#define BLOB_STORE_ID_SIZE 37 /* a UUID in text, with the NUL */

struct blob_store;
struct blob_writer;

/* Bytes of an object, readable until blob_reader_release(). A local backend gives a descriptor, so
 * that the bytes can leave by sendfile: they are [fd_offset, fd_offset + size) of it. */
struct blob_reader {
    const struct blob_store_ops *ops; /* NULL: nothing to release */
    void *state;                      /* the backend's */
    int fd;                           /* >= 0, or -1: read by blob_reader_read() only */
    uint64_t fd_offset;
    uint64_t size; /* of the range */
};

/* Called by blob_store_list for each readable object. Non-zero ends the walk and is returned. */
typedef int blob_store_each(void *context, const char *key, uint64_t size, int64_t changed_at_s,
                            struct error *err);

/* What a backend provides. The wrappers below check keys, sizes and ranges, so that a backend does
 * not. A key is never used a second time. */
struct blob_store_ops {
    const char *name; /* as in the configuration: "file", "s3", "memory" */

    /* Starts an object that nobody can see yet; `size` is what will be written in all. -EEXIST when
     * there is one under this key, finished or not. */
    int (*create)(struct blob_store *store, const char *key, uint64_t size,
                  struct blob_writer **out_writer, struct error *err);

    /* Goes on with an unfinished object. *offset: at entry the most that the caller can use (bytes
     * beyond it are cut off), at return where the writer stands, <= that. */
    int (*resume)(struct blob_store *store, const char *key, uint64_t size, uint64_t *offset,
                  struct blob_writer **out_writer, struct error *err);

    /* Appends. The caller hashes; the backend only keeps. */
    int (*write)(struct blob_writer *writer, const void *bytes, size_t size, struct error *err);

    /* Makes what was written durable and ends the writer, also on failure. */
    int (*suspend)(struct blob_writer *writer, struct error *err);

    /* Makes the objects readable, whole, and durable before it returns; all are full. Ends every
     * writer, also on failure; on failure each object is either readable or gone. */
    int (*commit)(struct blob_writer *const *writers, size_t count, struct error *err);

    /* Forgets the object and ends the writer. */
    void (*abort)(struct blob_writer *writer);

    /* A reader of [offset, offset + size), the whole range or an error. UINT64_MAX as size: to the
     * end. Beyond the end: -EBADMSG (the caller knows how long its objects are). */
    int (*open)(struct blob_store *store, const char *key, uint64_t offset, uint64_t size,
                struct blob_reader *out_reader, struct error *err);
    int (*read)(struct blob_reader *reader, uint64_t offset, void *out, size_t size,
                struct error *err);
    void (*release)(struct blob_reader *reader);

    /* Forgets the object, finished or not. One that is not there: 0. */
    int (*remove)(struct blob_store *store, const char *key, struct error *err);

    /* Takes a readable object out of the store, and keeps it where only an operator finds it. One
     * that is not there: 0. */
    int (*set_aside)(struct blob_store *store, const char *key, struct error *err);

    /* Readable objects in no order. Those that come or go meanwhile may be seen or not. */
    int (*list)(struct blob_store *store, blob_store_each *each, void *context, struct error *err);

    /* Bytes that can still be written, UINT64_MAX when nobody can tell. */
    int (*free_space)(struct blob_store *store, uint64_t *out_bytes, struct error *err);

    /* Reads the sentinel again (the disk may have been unmounted): 0 when it is still this store.
     */
    int (*check)(struct blob_store *store, struct error *err);

    /* Releases the backend; no writer or reader is left. Never called with NULL. */
    void (*free)(struct blob_store *store);
};

/* First member of every backend's own struct. */
struct blob_store {
    const struct blob_store_ops *ops;
    char id[BLOB_STORE_ID_SIZE];
};

/* First member of every backend's own writer. The counts belong to the wrappers. */
struct blob_writer {
    struct blob_store *store;
    uint64_t size;    /* promised at create */
    uint64_t written; /* where it stands */
    int failure;      /* of a write: the writer can then only be suspended or aborted */
};

/* NULL is fine. Returns NULL: store = blob_store_free(store); */
struct blob_store *blob_store_free(struct blob_store *store);
const char *blob_store_name(const struct blob_store *store); /* "file" */
const char *blob_store_id(const struct blob_store *store);

bool blob_key_is_valid(const char *key);

int blob_store_create(struct blob_store *store, const char *key, uint64_t size,
                      struct blob_writer **out_writer, struct error *err);
int blob_store_resume(struct blob_store *store, const char *key, uint64_t size, uint64_t *offset,
                      struct blob_writer **out_writer, struct error *err);

/* More than was promised: -EFBIG, nothing written. After a failure every later write fails the
 * same. */
int blob_writer_write(struct blob_writer *writer, const void *bytes, size_t size,
                      struct error *err);
uint64_t blob_writer_offset(const struct blob_writer *writer);
int blob_writer_suspend(struct blob_writer *writer, struct error *err);

/* -EBADMSG, the object forgotten, when less was written than promised. */
int blob_writer_commit(struct blob_writer *writer, struct error *err);
/* Several at once, of one store: what makes them durable is shared. All or a failure, after which
 * each is readable or gone. */
int blob_writers_commit(struct blob_writer *const *writers, size_t count, struct error *err);
struct blob_writer *blob_writer_abort(struct blob_writer *writer); /* NULL is fine; returns NULL */

/* *out_reader is set on success only. */
int blob_store_open(struct blob_store *store, const char *key, uint64_t offset, uint64_t size,
                    struct blob_reader *out_reader, struct error *err);
/* Exactly `size` bytes from `offset` of the range. A store that gives fewer: -EIO. */
int blob_reader_read(struct blob_reader *reader, uint64_t offset, void *out, size_t size,
                     struct error *err);
void blob_reader_release(struct blob_reader *reader); /* twice is fine */

int blob_store_remove(struct blob_store *store, const char *key, struct error *err);
int blob_store_set_aside(struct blob_store *store, const char *key, struct error *err);
int blob_store_list(struct blob_store *store, blob_store_each *each, void *context,
                    struct error *err);
int blob_store_free_space(struct blob_store *store, uint64_t *out_bytes, struct error *err);
int blob_store_check(struct blob_store *store, struct error *err);

/* For cleanup(blob_writer_abort_at) and cleanup(blob_store_free_at). */
void blob_writer_abort_at(struct blob_writer **at);
void blob_store_free_at(struct blob_store **at);
