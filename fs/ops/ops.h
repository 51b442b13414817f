/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/codec/metric_text.h"
#include "fs/session/session.h"

struct api_client;
struct blob_cache;
struct blob_fetch;
struct buf;
struct catalog;
struct catalog_item;
struct digest;
struct error;
struct http_loop;
struct ids;
struct ids_place;
struct json_writer;
struct known_versions;
struct open_table;
struct pins;
struct reader;
struct tree_mount;
struct tree_set;
struct workers;

/*
 * ops - the kernel's questions, answered from the rooms below.
 *
 * What is in memory or in the cache is answered on the session's thread. The rest waits as a
 * `struct question` and is answered from the loop's thread; no thread waits. A question that is
 * waiting is looked at every 25 ms: one whose task is being killed is answered EINTR, one past the
 * deadline EIO.
 */
struct ops;

/* Who keeps count of what is in use. */
typedef void ops_version(void *context, const char *project, const char *app, const char *version);
struct ops_usage {
    void *context;
    /* Bytes of it were asked for. Any thread. */
    void (*read)(void *context, const struct ids_place *place);
    /* Members of the version's object in status. */
    void (*tell)(void *context, const char *project, const char *app, const char *version,
                 struct json_writer *writer);
    /* Every version in use; those that were not shown are told of, too. */
    void (*each)(void *context, ops_version *each, void *each_context);
};

struct ops_options { /* all outlive the ops */
    struct http_loop *loop;
    struct api_client *client;
    struct blob_fetch *engine;
    struct blob_cache *cache;
    struct known_versions *known;
    struct workers *workers;
    struct ids *ids;
    struct catalog *catalog;
    struct tree_set *trees;
    struct reader *reader;
    struct pins *pins;
    struct ops_usage usage;
    const char *store;      /* whose pins they are */
    const char *cache_path; /* whose file system tells what is free */
    uint64_t deadline_ms;   /* the longest wait of a question */
    uint32_t umask;
    bool fetches_siblings; /* of small files that are read one after the other */
    /* A file of an open version was read, the first of all; or NULL. Any thread. */
    void (*first_read)(void *context, struct tree_mount *mount, uint32_t slot);
    void *first_read_context;
    bool wants_passthrough;
    const char *without_passthrough; /* why no file is read past us, unless ops_use_opens */
    bool strict_auth;                /* nothing is shown while the server says 401 or 403 */
};

int ops_new(struct ops **out_ops, const struct ops_options *options, struct error *err);
/* All that waits is answered EIO; what comes for it later is dropped. Loop thread, or none
 * running. */
void ops_end(struct ops *ops);
bool ops_is_idle(struct ops *ops); /* nothing waits */
/* After ops_end and after everything that may still call back has ended. NULL is fine. */
struct ops *ops_free(struct ops *ops);

/*
 * Where the kernel asks to open files (session_options.opens): how they are open is written in a
 * table, and complete ones get a backing file, which another process has to register.
 */
struct ops_opens {
    struct open_table *table; /* outlives the ops, and is theirs */
    bool passes;              /* false: no file begins to have a backing file */
    /* Has the file registered; what comes of it is for ops_backing_came with the same number. Waits
     * for nothing: -EAGAIN; -EPIPE: nobody is there. Any thread. */
    int (*backing_open)(void *context, uint64_t number, int file);
    int (*backing_close)(void *context, const uint32_t *ids, size_t count);
    void *context;
};
/* Before the first question. */
int ops_use_opens(struct ops *ops, const struct ops_opens *opens, struct error *err);
/* result 0 and an id, or a negative errno. Loop thread, or none running. OPS_BACKING_PROBE is
 * nobody's number: of a file that was sent to see whether it can be done. */
#define OPS_BACKING_PROBE 0
void ops_backing_came(struct ops *ops, uint64_t number, int result, uint32_t id);
/* Why complete files are not read past us, "" when they are. Any thread. */
void ops_without_passthrough(struct ops *ops, char out[ERROR_TEXT_SIZE]);

/* For session_mount; the context is the struct ops. */
extern const struct session_ops ops_table;

/* For the rooms that ask for numbers: context is the struct ids and the known versions. A version
 * that is known goes by the tree that is known, whatever a list says. */
struct ops_numbers {
    struct ids *ids;
    struct known_versions *known;
};
int ops_number(void *context, const char *project, const char *app, const struct catalog_item *item,
               uint64_t *out_node);
int ops_slot(void *context, const char *project, const char *app, const char *version,
             const struct digest *tree, uint32_t *out_slot, struct error *err);

/* For metrics; any thread. Names of requests are constants. */
#define OPS_REQUEST_KINDS 9
struct ops_counts {
    struct {
        const char *name;
        uint64_t count;
    } requests[OPS_REQUEST_KINDS]; /* that the kernel has made */
    uint64_t waiting;              /* questions that wait for something */
    uint64_t versions_open, versions_shown;
    struct metric_histogram waits; /* of reads that had to wait, until they were answered */
};
void ops_count(struct ops *ops, struct ops_counts *out);

/* JSON, for the control socket; any thread but the loop's. status: the members of the object, which
 * the caller begins and ends (he adds mountpoint, server, worker). */
void ops_status_json(struct ops *ops, struct json_writer *writer);
/* How much of a version is in the cache, "remote", "partial" or "complete"; NULL: its tree is not
 * open. Goes over all its files; any thread but the loop's. */
const char *ops_version_state(struct ops *ops, const char *project, const char *app,
                              const char *version);
/* What is at a node: 0, or -ENOENT, -ESTALE and those of opening a version. Waits. */
int ops_node_json(struct ops *ops, uint64_t node, struct json_writer *writer, struct error *err);
