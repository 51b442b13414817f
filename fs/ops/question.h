/* SPDX-License-Identifier: MIT */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/net/http_loop.h"
#include "fs/ids/ids.h"
#include "fs/opens/open_table.h"
#include "fs/ops/ops.h"
#include "fs/reader/buffers.h"
#include "fs/reader/reader.h"
#include "fs/session/session.h"
#include "fs/tree_mount/tree_mount.h"

struct faults;
struct opens;
struct question;
struct siblings;

/*
 * question - one request of the kernel, on its way to an answer.
 *
 * It begins on the stack of the session's thread. When something has to come first it is parked:
 * moved to the heap, put among those that wait, and gone on with on the loop's thread, where it is
 * also looked after. Answering it once is enough: what comes later finds it answered, and only ends
 * it.
 */
enum question_kind {
    QUESTION_LOOKUP,
    QUESTION_ATTRIBUTES,
    QUESTION_LINK,
    QUESTION_READ,
    QUESTION_OPEN,
    QUESTION_DIRECTORY,
    QUESTION_XATTR_GET,
    QUESTION_XATTR_LIST,
    QUESTION_STATFS, /* only counted: it is answered at once */
};

#define QUESTION_FAILED_READS 16

struct ops {
    struct ops_options options;
    struct faults *faults;
    struct buffers *buffers;
    struct siblings *siblings;                    /* NULL: each file is asked for alone */
    struct opens *opens;                          /* NULL: the kernel opens by itself */
    _Atomic uint64_t requests[OPS_REQUEST_KINDS]; /* by kind */
    uint64_t started_ns;  /* the time of directories whose list has not come yet */
    pthread_mutex_t lock; /* of what follows */
    struct question *parked;
    bool watching; /* the timer is set, or about to be */
    bool ended;
    struct http_timer timer;
    struct http_post watch_post;
    struct { /* reads that failed just now: the kernel asks again page by page */
        uint64_t node, until_ms;
        int result;
    } failed[QUESTION_FAILED_READS];
    size_t failed_next;
    struct metric_histogram waits; /* of reads */
    uint64_t slow_until_ms;        /* nobody waits for fresher lists before that */
    uint64_t silent_until_ms; /* ... nor for a first one, where something is known without it */
};

struct question {
    struct ops *ops;
    struct session_request *request; /* NULL: answered */
    enum question_kind kind;
    uint64_t node;
    const char *name; /* LOOKUP, XATTR_GET */
    uint64_t offset;  /* READ, DIRECTORY */
    uint32_t size;    /* READ, DIRECTORY, XATTR */
    struct ids_place place;
    struct tree_mount *mount; /* a reference; of questions inside a version */

    bool is_parked;
    char *own_name;
    uint32_t pid;
    uint64_t asked_ms, deadline_ms;
    void (*settle)(struct question *question); /* what to answer when patience ends; or NULL */
    uint64_t patience_ms;
    void *buffer; /* READ: buffer_size bytes of ops->buffers */
    size_t buffer_size;
    int result;                               /* of a worker */
    struct error err;                         /* of the last try, or what it is to be failed with */
    void (*again)(struct question *question); /* the try that comes next */
    struct http_timer timer;
    struct { /* OPEN */
        uint64_t number;
        bool repeated; /* a process before may have answered it */
        bool is_old;   /* ... and has written down what: */
        struct open_grant grant;
        struct question *next; /* who waits for the same file */
    } open;
    bool has_digests; /* XATTR: they were asked for, and came */
    struct reader_digests digests;
    struct buf *text; /* XATTR: what a worker made */
    struct http_post post;
    struct question *next, *previous;
};

/* Finds out where the node is, opens its version when need be, and goes on. */
void question_begin(struct question *question);

/* A parked copy, the original is empty; NULL: out of memory, and answered so. */
struct question *question_park(struct question *question);

/* The kernel has asked. */
void question_count(struct ops *ops, enum question_kind kind);
/* Notes why it fails, and logs that when it is news. fault_notes.c, as the next two. */
void question_note_failure(const struct question *question, const struct error *err);
/* Says so when a server that was away answers again. Cheap. */
void question_note_answer(struct ops *ops);
/* Bytes of the question's version came: what failed of it before is over. */
void question_note_bytes(const struct question *question);
/* That this range (size >= 1) of the question's file is read, for what is told of starts. read.c */
void question_note_read(const struct question *question, uint64_t file_size, uint64_t offset,
                        uint64_t size);
/* A read that waited is answered now. */
void question_note_wait(struct question *question);

/* The end of every question: gives back what it holds; frees a parked one. */
void question_end(struct question *question);
/* Answers with the code of `err` (notes it among the faults), then ends it. */
void question_fail(struct question *question, const struct error *err);
void question_fail_code(struct question *question, int code);
/* Of a parked one, on any thread: fails it on the loop's. */
void question_fail_later(struct question *question, const struct error *err);
/* Of a parked one, on the loop's thread: has `again` called after a pause when what failed with
 * `err` was only that the server is away, and the deadline leaves time for it. Else false. */
bool question_retry(struct question *question, const struct error *err,
                    void (*again)(struct question *question));
/* It was answered while it waited: ends it and says so. */
bool question_is_over(struct question *question);
/* Takes the request, to be answered now; NULL when it was answered already. */
struct session_request *question_take(struct question *question);

/* The next step, inside an open version or above; each ends or parks the question. */
void question_above(struct question *question);  /* above.c */
void question_inside(struct question *question); /* inside.c */
void question_read(struct question *question);   /* read.c */
void question_open(struct question *question);   /* opens.c */
void question_xattr(struct question *question);  /* xattrs.c */

/* dots.c */
bool question_is_dots(const struct question *question); /* of a LOOKUP */
void question_dots(struct question *question);          /* its version is open, if it is in one */
/* The node of the directory above; `inside` is what the question's node is below the directory of a
 * version, else NULL. */
uint64_t question_parent(const struct question *question, const struct tree_node *inside);

/* A read that fails is failed again at once for a second, page by page. */
void question_remember_failure(struct ops *ops, uint64_t node, int result);
int question_recent_failure(struct ops *ops, uint64_t node);

/* attributes.c */
struct session_attributes attributes_inside(const struct ops *ops, uint32_t slot, uint64_t index,
                                            const struct tree_node *node);
struct session_attributes attributes_above(const struct ops *ops, uint64_t node,
                                           int64_t changed_ns);
struct session_attributes attributes_version(const struct ops *ops, uint64_t node,
                                             int64_t created_at_s);

/* version_state.c: how much of a version is in the cache, file by file. Works; not on the loop. */
struct version_state {
    const char *text; /* "remote", "partial", "complete" */
    uint64_t cached_bytes;
};
struct version_state version_state_of(struct ops *ops, struct tree_mount *mount);
