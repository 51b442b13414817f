/* SPDX-License-Identifier: MIT */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/client/blob_fetch.h"
#include "common/model/names.h"
#include "common/net/http_loop.h"
#include "fs/care/care.h"

struct api_call;
struct content_set;
struct learned;
struct pin_hold;
struct recording;
struct scrubber;
struct tree_fetch;
struct tree_mount;
struct workers;

/*
 * care_private - what care.c (the list of jobs, pins that are to be complete), care_job.c (from a
 * name to its contents), care_wait.c (who is told of its end), bringing.c (contents into the
 * cache), learning.c (which of them a start reads), recording.c (which of them this one reads),
 * checking.c (contents held against their names), mending.c (what was wrong, fetched again) and
 * care_answer.c (JSON) share.
 *
 * A job belongs to the loop's thread, or while it works to a worker; its end and what it found are
 * told under the care's lock.
 */
enum care_kind {
    CARE_PREFETCH, /* the contents come */
    CARE_PIN,      /* it is pinned; that the contents come is another job */
    CARE_VERIFY,   /* of a version, or of all the cache */
    CARE_MEND,     /* what the scrubber found */
    CARE_LEARN,    /* what a start reads comes */
};

#define BRING_SMALL 2048 /* at a time: two packs */
#define BRING_LARGE 2
#define BRING_PACK_BYTES ((uint64_t)2 * 1024 * 1024)
#define WRONG_NAMED 100 /* of those that are wrong */

/* A content that is to come: the file in the tree's digests, its size, and what of it. */
struct wanted {
    uint32_t index;
    uint64_t size, offset, length;
};

/* Something that was wrong in the cache. */
struct wrong {
    struct wrong *next;
    struct care_job *job;
    enum blob_kind kind;
    struct digest name;
    char *what;                 /* its path, or its name in the cache */
    struct blob_object *object; /* NULL: whoever reads it has it fetched */
    bool again;                 /* it was fetched */
};

/* Somebody who is told when a job is over. */
struct care_wait {
    struct care_wait *next;
    struct care_job *job; /* a reference */
    care_done *done;
    void *context;
    struct http_post post;
};

struct care_job {
    struct care *care;
    struct care_job *next;
    size_t refs; /* care's lock: the list's, the work's */
    uint64_t id;
    enum care_kind kind;
    bool is_of_version;
    char project[NAME_TEXT_SIZE], app[NAME_TEXT_SIZE], version[VERSION_TEXT_SIZE];

    bool is_over; /* care's lock, with the next */
    int code;
    struct error err;
    struct care_wait *waits;
    struct wrong *wrong;
    uint64_t wrong_count;
    _Atomic uint64_t bytes, done_bytes, files, done_files;

    struct tree_mount *mount; /* a reference */
    struct content_set *set;
    struct learned *learned; /* CARE_LEARN, with the next */
    struct wanted *wanted;   /* instead of the set's items */
    size_t wanted_count;
    struct pin_hold *hold;
    void (*work)(void *);  /* on a worker */
    struct http_post post; /* its way back to the loop, or here */
    struct http_timer timer;
    uint64_t yields_until_ms;
    int result; /* of a worker */
    struct error result_err;

    size_t next_item; /* of the set, or of what is wanted */
    struct blob_object *objects[BRING_SMALL + BRING_LARGE];
    size_t object_count, small_count; /* the small ones stand first */
    struct wanted parts[BRING_LARGE]; /* of the large ones */
    size_t pending;
    bool is_second_try; /* of those that no pack brought */
    int failure;        /* the first, of what was asked for */
    struct error failure_err;
};

struct digests {
    struct digest *items;
    size_t count, capacity;
};

struct care {
    struct care_options options;
    struct workers *workers;
    struct scrubber *scrubber;
    struct http_timer upkeep;
    struct http_post upkeep_post;
    _Atomic bool ended;
    _Atomic bool upkeep_posted;
    _Atomic bool pins_doubtful; /* damage was found: their versions are gone over again */
    pthread_mutex_t lock;       /* of what follows */
    struct care_job *jobs;      /* the newest first */
    uint64_t last_id;
    struct digests complete;           /* trees of versions that were found complete */
    struct digests failed;             /* names of those that could not be completed ... */
    uint64_t retry_ms, retry_pause_ms; /* ... until they are tried again */

    struct digests started; /* trees of which something was read; loop thread, as the next */
    struct recording *recordings;
    bool is_telling;                /* of one of them, at a time */
    size_t lists_asked;             /* learning.c: requests in progress */
    _Atomic size_t recording_count; /* with those that are on their way to the loop */
};

/* care.c. Without memory it is not added. */
void digests_add(struct digests *digests, struct digest digest);
bool digests_have(const struct digests *digests, struct digest digest);

/* care.c. Any thread: a job that is begun, or one of the same that runs; a reference, or NULL. */
struct care_job *care_begin(struct care *care, enum care_kind kind, const char *project,
                            const char *app, const char *version);
struct care_job *care_find(struct care *care, uint64_t id); /* a reference, or NULL */
struct care_job *care_job_unref(struct care_job *job);      /* any thread; returns NULL */
/* A finished one, with its code. Loop thread. */
void care_job_over(struct care_job *job, int code, const struct error *err);
/* Has function called on a worker, and then `behind` on the loop's thread. */
void care_job_work(struct care_job *job, void (*function)(void *), void (*behind)(void *));
void care_job_run(void *job); /* the worker's part of it */
void care_note_complete(struct care *care, const struct digest *tree);
void care_pins_changed(struct care *care);                   /* any thread */
size_t care_running(struct care *care, enum care_kind kind); /* jobs that are not over */

/* care_wait.c: a job is over, and its waits are taken out of it. Loop thread. */
void care_tell(struct care_wait *waits);

/* care_job.c: the first step of every job. Loop thread. */
void care_job_start(void *job);
/* What the job is about, item by item: its set's, or what it wants. Any thread. */
size_t care_job_count(const struct care_job *job);
struct wanted care_job_item(const struct care_job *job, size_t item);
/* The engine's object of an item. Any thread. */
int care_job_object(struct care_job *job, size_t item, struct blob_object **out_object,
                    struct error *err);

void bringing_go_on(struct care_job *job); /* bringing.c; loop thread; the set is there */
void learning_start(struct care_job *job); /* learning.c; loop thread; its tree is there */
void learning_release(struct care_job *job);
/* Has what starts of it read brought. Loop thread. */
void learning_begin(struct care *care, struct tree_mount *mount);
/* Ends what it waits for, of a job that runs. Loop thread. */
void learning_cancel(struct care_job *job);
void recording_end_all(struct care *care); /* recording.c; loop thread */
void checking_start(struct care_job *job); /* checking.c; loop thread; the set, or NULL: all */

/* mending.c. On a worker: notes that an object was wrong; `what` is copied. */
void mending_note(struct care_job *job, enum blob_kind kind, const struct digest *name,
                  const char *what, struct blob_object *object);
/* Looks among the open versions for those that nobody is known to have. On a worker. */
void mending_place(struct care_job *job);
/* Has them fetched again; then the job is over. Loop thread. */
void mending_start(struct care_job *job);
void mending_release(struct care_job *job);
